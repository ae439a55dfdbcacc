// SPDX-License-Identifier: GPL-2.0

//! The null block device.
//!
//! It keeps its data in memory or not at all, and completes I/O at once, in a soft interrupt, when a
//! timer fires, or when it is polled. Or it keeps its data in a file, and completes I/O when the file
//! does.

#[macro_use]
mod attributes;
mod backing;
mod cache;
mod config;
pub(crate) mod configfs;
mod counters;
mod device;
mod driver;
#[cfg(CONFIG_KUNIT = "y")]
mod early_end;
mod faults;
mod file_driver;
mod medium;
mod nesting;
mod pages;
mod shared;
mod storage;
mod throttle;
mod value;
mod zones;

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::{
        mq::{
            Flags,
            GenDisk,
            GenDiskBuilder,
            QueueCounts,
            TagSet,
            TagSetConfig, //
        },
        SECTOR_SHIFT, //
    },
    debugfs::File,
    numa::Node, //
};

#[cfg(CONFIG_KUNIT = "y")]
use kernel_ext::block::BlockDevice;

#[cfg(CONFIG_KUNIT = "y")]
use kernel::{
    str::CString,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use crate::debugfs::Dir;

use self::{
    backing::Backing,
    driver::NullDisk,
    faults::Faults,
    file_driver::FileDisk,
    medium::Medium,
    shared::{
        Index,
        TagSetUse, //
    },
    throttle::Throttle,
    zones::Zones, //
};

pub(crate) use self::{
    attributes::{
        show_attributes,
        Config, //
    },
    counters::Counters,
    shared::Shared,
    storage::Storage, //
};
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) use self::{
    counters::Counter,
    value::IrqMode, //
};

/// Limit of the sectors of a discard or a write of zeroes, whose bytes are counted by 32 bits.
const MAX_RANGE_SECTORS: u32 = u32::MAX >> SECTOR_SHIFT;

/// Limit of the sectors that a file transfers at a time, that of `read(2)`: it fits into 31 bits, and is a
/// whole number of pages.
// CAST: A page has less than 4 GiB.
const MAX_FILE_SECTORS: u32 = (u32::MAX / 2 + 1 - PAGE_SIZE as u32) >> SECTOR_SHIFT;

/// A disk that is in the system.
///
/// Its drop removes it and waits for the I/O in flight. If it has a volatile cache, that is a power
/// cut: nothing is written back before. May sleep.
pub(crate) struct Disk {
    // Dropped first, so that a disk of the same name finds no file when this one is gone.
    file: Pin<KBox<File<Stats>>>,
    disk: Added,
    index: Index,
    throttle: Option<Arc<Throttle>>,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // First, because all that follows waits for what the block layer has kept.
        if let Some(throttle) = &self.throttle {
            throttle.lift();
        }
        let medium = self.file.medium.as_ref();
        if medium.is_some_and(|medium| medium.is_volatile()) {
            // Otherwise the removal would sync the file system, which a power cut does not.
            self.disk.mark_dead();
        }
    }
}

/// A disk that is in the system, by where its data is.
enum Added {
    /// In memory, or nowhere.
    Null(GenDisk<NullDisk>, #[expect(dead_code)] TagSetUse),
    /// In a file.
    File(GenDisk<FileDisk>),
}

impl Added {
    /// Adds a disk whose data is in memory or nowhere, as `data` says.
    fn null(
        name: &CStr,
        config: &Config,
        data: driver::QueueData,
        zones: Option<Arc<Zones>>,
        tags: TagSetUse,
    ) -> Result<Self> {
        let builder = null_builder(config, zones.as_deref())?;
        let disk = builder.build(name, tags.tag_set(), KBox::new(data, GFP_KERNEL)?, zones)?;
        Ok(Self::Null(disk, tags))
    }

    /// Adds a disk whose data is in a file. `storage` has its bad sectors.
    fn with_file(
        name: &CStr,
        config: &Config,
        backing: Backing,
        storage: Arc<Storage>,
        counters: Arc<Counters>,
        faults: &Faults,
    ) -> Result<Self> {
        let tag_set = Arc::pin_init(TagSet::new(tag_set_config(config)), GFP_KERNEL)?;
        let builder = file_builder(config, &backing)?;
        let data =
            file_driver::QueueData::new(config, backing.file, storage, counters, faults.clone());
        let disk = builder.build(name, tag_set, KBox::pin_init(data, GFP_KERNEL)?, None)?;
        Ok(Self::File(disk))
    }

    fn mark_dead(&self) {
        match self {
            Self::Null(disk, _) => disk.mark_dead(),
            Self::File(disk) => disk.mark_dead(),
        }
    }

    fn set_queues(&self, counts: QueueCounts) -> Result {
        match self {
            Self::Null(disk, _) => disk.set_queues(counts),
            Self::File(disk) => disk.set_queues(counts),
        }
    }

    #[cfg(CONFIG_KUNIT = "y")]
    fn part0(&self) -> &BlockDevice {
        match self {
            Self::Null(disk, _) => disk.part0(),
            Self::File(disk) => disk.part0(),
        }
    }
}

/// What a disk uses that outlives it.
pub(crate) struct Kept<'a> {
    /// The data, unless they are in a file, and the bad sectors.
    storage: Arc<Storage>,
    /// The zones, if the disk is zoned.
    zones: Option<Arc<Zones>>,
    faults: Faults,
    shared: &'a Shared,
    /// The directory in debugfs.
    debugfs: &'a Dir,
}

/// What the file in debugfs shows.
struct Stats {
    counters: Arc<Counters>,
    storage: Arc<Storage>,
    medium: Option<Arc<Medium>>,
}

impl Disk {
    /// Makes a disk and adds it to the system as `/dev/NAME`. May sleep.
    ///
    /// Its data are in `backing` if there is one, otherwise in the storage. Its counters are shown by
    /// `NAME/counters` in the directory in debugfs.
    pub(crate) fn with(
        name: &CStr,
        config: &Config,
        backing: Option<Backing>,
        kept: Kept<'_>,
    ) -> Result<Self> {
        let (storage, shared) = (kept.storage, kept.shared);
        let index = Index::new(shared.indexes.clone())?;
        let counters = Arc::new(Counters::new()?, GFP_KERNEL)?;
        let (mut medium, mut throttle) = (None, None);
        let disk = if let Some(backing) = backing {
            let (storage, counters) = (storage.clone(), counters.clone());
            Added::with_file(name, config, backing, storage, counters, &kept.faults)
        } else {
            let sets = config.shared_tags.then(|| shared.tag_sets.clone());
            let tags = TagSetUse::new(tag_set_config(config), sets)?;
            if config.mbps > 0 {
                throttle = Some(Arc::new(Throttle::new(config.mbps), GFP_KERNEL)?);
            }
            let data = driver::QueueData::new(
                config,
                Arc::new(Medium::new(config, storage.clone())?, GFP_KERNEL)?,
                kept.zones.clone(),
                throttle.clone(),
                counters.clone(),
                kept.faults,
            );
            medium = Some(data.medium().clone());
            Added::null(name, config, data, kept.zones, tags)
        }?;
        let stats = Stats {
            counters,
            storage,
            medium,
        };
        let dir = kept.debugfs.subdir(name);
        let file = KBox::pin_init(
            dir.read_callback_file(c"counters", stats, Stats::show),
            GFP_KERNEL,
        )?;
        Ok(Self {
            file,
            disk,
            index,
            throttle,
        })
    }

    /// Changes the hardware queues to those that `config` says. Waits for the I/O in flight. May
    /// sleep.
    pub(crate) fn set_queues(&self, config: &Config) -> Result {
        self.disk.set_queues(config.queues())
    }

    /// Returns the number of the disk, which no other one with the same [`Shared`] has.
    pub(crate) fn index(&self) -> u32 {
        self.index.get()
    }
}

#[cfg(CONFIG_KUNIT = "y")]
impl Config {
    /// A time in ns after which submission is over, for timers.
    pub(crate) const SLOWLY: u64 = 20_000_000;

    /// Returns the attributes of disks for tests of engines.
    pub(crate) fn for_tests() -> Self {
        Self {
            size: 16,
            blocksize: 512,
            memory_backed: true,
            ..Self::default()
        }
    }
}

#[cfg(CONFIG_KUNIT = "y")]
impl Disk {
    /// Makes a disk with a name that no other one has.
    pub(crate) fn for_test(config: &Config) -> Result<Self> {
        // A test that fails leaves its disk behind.
        static DISKS: Atomic<u32> = Atomic::new(0);
        let name = CString::try_from_fmt(fmt!("rnull_dio_test{}", DISKS.fetch_add(1, Relaxed)))?;
        Self::new(&name, config, &Dir::new(&name))
    }

    /// Makes a disk as [`Self::with`] does, without data or bad sectors.
    pub(crate) fn new(name: &CStr, config: &Config, debugfs: &Dir) -> Result<Self> {
        let zones = match config.zone_layout() {
            Some(layout) => Some(Arc::pin_init(Zones::new(layout), GFP_KERNEL)?),
            None => None,
        };
        let kept = Kept {
            storage: Arc::pin_init(Storage::new(), GFP_KERNEL)?,
            zones,
            faults: Faults::new()?.0,
            shared: &Shared::new()?,
            debugfs,
        };
        Self::with(name, config, None, kept)
    }

    /// Returns the block device to send bios to.
    pub(crate) fn block_device(&self) -> &BlockDevice {
        self.disk.part0()
    }

    /// Returns the hardware queues.
    fn queues(&self) -> QueueCounts {
        match &self.disk {
            Added::Null(disk, _) => disk.tag_set().queues(),
            Added::File(disk) => disk.tag_set().queues(),
        }
    }

    /// Returns the data and bad sectors.
    pub(crate) fn storage(&self) -> &Storage {
        &self.file.storage
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.file.counters
    }
}

impl Stats {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counters.show(f)?;
        writeln!(f, "pages: {}", self.storage.pages())?;
        let cached = self
            .medium
            .as_ref()
            .map_or(0, |medium| medium.cached_pages());
        writeln!(f, "cached_pages: {cached}")
    }
}

fn tag_set_config(config: &Config) -> TagSetConfig {
    TagSetConfig {
        queues: config.queues(),
        queue_depth: config.hw_queue_depth,
        // By default, as a scheduler has nothing to gain here and adds a context switch to each
        // request.
        flags: Flags::NoDefaultScheduler.only_if(config.no_sched)
            | Flags::Stacking.only_if(config.backing_file.get().is_some())
            | Flags::SharedTags.only_if(config.shared_tag_bitmap)
            // Writes to memory allocate pages.
            | Flags::Blocking.only_if(config.blocking || config.memory_backed),
        // Should it have gone offline, it is no better than any other.
        node: config.home_node.and_then(Node::online).unwrap_or(Node::ANY),
        timeout: driver::TIMEOUT_MS,
    }
}

/// Describes a disk as far as that does not depend on where its data is.
fn builder(config: &Config) -> Result<GenDiskBuilder> {
    Ok(GenDiskBuilder::new()
        .max_hw_sectors(config.request_sectors())?
        .logical_block_size(config.blocksize)?
        .physical_block_size(config.blocksize)?
        .virt_boundary(config.virt_boundary)
        .rotational(config.rotational)
        .fua(config.fua))
}

fn null_builder(config: &Config, zones: Option<&Zones>) -> Result<GenDiskBuilder> {
    let mut builder = builder(config)?;
    if let Some(zones) = zones {
        builder = builder.zoned(&zones.layout().limits())?;
    }
    Ok(builder
        .capacity_sectors(config.bytes().ok_or(EINVAL)? >> SECTOR_SHIFT)
        .write_cache(config.write_cache || config.cache_size > 0)
        .max_hw_discard_sectors(range_sectors(config.discard))
        .max_write_zeroes_sectors(range_sectors(config.memory_backed && !config.zoned)))
}

fn file_builder(config: &Config, backing: &Backing) -> Result<GenDiskBuilder> {
    let file = &backing.file;
    Ok(builder(config)?
        .max_hw_sectors(config.request_sectors().min(MAX_FILE_SECTORS))?
        .capacity_sectors(backing.bytes >> SECTOR_SHIFT)
        .memory_alignment(file.alignment().memory)?
        .read_only(!file.is_writable())
        // Without flushes, nothing would be durable.
        .write_cache(file.can_sync())
        .max_hw_discard_sectors(range_sectors(config.discard))
        .discard_granularity(file.granularity())
        .max_write_zeroes_sectors(range_sectors(file.may_deallocate())))
}

/// Returns the limit of the sectors of a request that takes as many as there are, if the disk has such
/// requests.
fn range_sectors(has: bool) -> u32 {
    if has {
        MAX_RANGE_SECTORS
    } else {
        0
    }
}

#[kunit_tests(rnull_dio_disk)]
mod tests {
    use super::{
        counters::Counter,
        value::IrqMode,
        *, //
    };
    use kernel::cpu::{
        nr_cpu_ids,
        CpuId, //
    };
    use kernel_ext::{
        block::mq::HctxType,
        fs::backing_file::{
            Access,
            BackingFile, //
        }, //
    };

    fn config(irqmode: IrqMode, memory_backed: bool, poll_queues: u32) -> Config {
        Config {
            size: 16,
            irqmode,
            memory_backed,
            poll_queues,
            submit_queues: nr_cpu_ids(),
            discard: true,
            write_cache: true,
            fua: true,
            ..Config::default()
        }
    }

    #[test]
    fn disks_come_and_go() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        for round in 0..100 {
            let irqmode = match round % 3 {
                0 => IrqMode::None,
                1 => IrqMode::SoftIrq,
                _ => IrqMode::Timer,
            };
            let config = config(irqmode, round % 2 == 0, round % 5 % 2);
            let disk = Disk::new(c"rnull_dio_kunit", &config, &debugfs)?;
            assert!(!disk.block_device().as_raw().is_null());
            assert!(disk.storage().bad().is_empty());
            assert_eq!(disk.counters().get(Counter::Write), 0);
        }
        Ok(())
    }

    #[test]
    fn bad_names_and_numbers_fail() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let good = Config::default();
        assert!(Disk::new(c"", &good, &debugfs).is_err());
        assert!(Disk::new(c"a_name_that_is_too_long_for_a_disk", &good, &debugfs).is_err());
        let no_queue = Config {
            submit_queues: 0,
            ..good.clone()
        };
        assert!(Disk::new(c"rnull_dio_kunit", &no_queue, &debugfs).is_err());
        let odd_blocks = Config {
            blocksize: 513,
            ..good
        };
        assert!(Disk::new(c"rnull_dio_kunit", &odd_blocks, &debugfs).is_err());
        Ok(())
    }

    #[test]
    fn queues_cover_all_cpus() -> Result {
        let config = config(IrqMode::None, false, 1);
        let tag_set = TagSet::<NullDisk>::new(tag_set_config(&config));
        let tag_set = KBox::try_pin_init(tag_set, GFP_KERNEL)?;
        let submit = config.submit_queues;
        for (kind, queues) in [
            (HctxType::Default, Some(0..submit)),
            (HctxType::Read, None),
            (HctxType::Poll, Some(submit..submit + 1)),
        ] {
            let map = tag_set.map(kind);
            assert_eq!(map.as_ref().map(|map| map.queues()), queues);
            let Some(map) = map else {
                continue;
            };
            for cpu in (0..nr_cpu_ids()).filter_map(CpuId::from_u32) {
                assert!(map.queues().contains(&map.queue_of(cpu)));
            }
        }
        Ok(())
    }

    #[test]
    fn no_poll_queue_no_map() -> Result {
        let config = config(IrqMode::None, false, 0);
        let tag_set = TagSet::<NullDisk>::new(tag_set_config(&config));
        let tag_set = KBox::try_pin_init(tag_set, GFP_KERNEL)?;
        assert!(tag_set.map(HctxType::Default).is_some());
        assert!(tag_set.map(HctxType::Poll).is_none());
        Ok(())
    }
    /// Changes the queues of a disk. Returns the result, and whether they are those then.
    fn change(
        disk: &Disk,
        config: &Config,
        submit_queues: u32,
        poll_queues: u32,
    ) -> (Result, bool) {
        let changed = Config {
            submit_queues,
            poll_queues,
            ..config.clone()
        };
        let result = disk.set_queues(&changed);
        (result, disk.queues() == changed.queues())
    }

    #[test]
    fn queues_change_while_a_disk_is_on() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let cpus = nr_cpu_ids();
        for memory_backed in [false, true] {
            let config = config(IrqMode::Timer, memory_backed, 0);
            let disk = Disk::new(c"rnull_dio_kunit", &config, &debugfs)?;
            for (submit, poll) in [(1, 0), (cpus, 1), (1, cpus), (cpus, 0), (1, 1), (1, 1)] {
                assert_eq!(change(&disk, &config, submit, poll), (Ok(()), true));
            }
            assert_eq!(change(&disk, &config, 0, 1), (Err(EINVAL), false));
        }
        Ok(())
    }

    #[test]
    fn queues_change_while_a_disk_in_a_file_is_on() -> Result {
        let debugfs = Dir::new(c"rnull_dio_kunit");
        let config = Config {
            backing_file: c"/image".try_into()?,
            ..Config::default()
        };
        let backing = Backing::new(&config, BackingFile::in_memory(1 << 20, Access::Direct, 0)?)?;
        let disk = Disk::with_storage(
            c"rnull_dio_kunit",
            &config,
            Arc::pin_init(Storage::new(), GFP_KERNEL)?,
            Some(backing),
            &debugfs,
            &Shared::new()?,
        )?;
        for submit in [nr_cpu_ids(), 1, nr_cpu_ids()] {
            assert_eq!(change(&disk, &config, submit, 0), (Ok(()), true));
        }
        assert_eq!(change(&disk, &config, 1, 1), (Err(EINVAL), false));
        Ok(())
    }
}
