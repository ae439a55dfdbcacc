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
mod description;
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
#[cfg(CONFIG_KUNIT = "y")]
mod tests;
mod throttle;
mod value;
mod zones;

use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::mq::{
        GenDisk,
        QueueCounts,
        TagSet, //
    },
    debugfs::File, //
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
    description::{
        file_builder,
        null_builder,
        tag_set_config, //
    },
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
    faults: Faults,
}

impl Drop for Disk {
    fn drop(&mut self) {
        // First, because all that follows waits for what the block layer has kept.
        if let Some(throttle) = &self.throttle {
            throttle.lift();
        }
        self.faults.lift();
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
        let faults = kept.faults.for_disk()?;
        let index = Index::new(shared.indexes.clone())?;
        let counters = Arc::new(Counters::new()?, GFP_KERNEL)?;
        let (mut medium, mut throttle) = (None, None);
        let disk = if let Some(backing) = backing {
            let (storage, counters) = (storage.clone(), counters.clone());
            Added::with_file(name, config, backing, storage, counters, &faults)
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
                faults.clone(),
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
            faults,
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
        Self::for_backing(name, config, None, debugfs)
    }

    /// Makes a disk as [`Self::new`] does, with its data in a file if there is one.
    fn for_backing(
        name: &CStr,
        config: &Config,
        backing: Option<Backing>,
        debugfs: &Dir,
    ) -> Result<Self> {
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
        Self::with(name, config, backing, kept)
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
