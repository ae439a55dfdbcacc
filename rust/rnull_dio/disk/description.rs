// SPDX-License-Identifier: GPL-2.0

//! How disks are described to the block layer.

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

use kernel_ext::{
    block::{
        mq::{
            Flags,
            GenDiskBuilder,
            TagSetConfig, //
        },
        SECTOR_SHIFT, //
    },
    numa::Node, //
};

use super::{
    backing::Backing,
    driver::TIMEOUT_MS,
    zones::Zones,
    Config, //
};

/// Limit of the sectors of a discard or a write of zeroes, whose bytes are counted by 32 bits.
const MAX_RANGE_SECTORS: u32 = u32::MAX >> SECTOR_SHIFT;

/// Limit of the sectors that a file transfers at a time, that of `read(2)`: it fits into 31 bits, and is a
/// whole number of pages.
// CAST: A page has less than 4 GiB.
const MAX_FILE_SECTORS: u32 = (u32::MAX / 2 + 1 - PAGE_SIZE as u32) >> SECTOR_SHIFT;

/// Describes the hardware queues and requests of a disk.
pub(super) fn tag_set_config(config: &Config) -> TagSetConfig {
    TagSetConfig {
        queues: config.queues(),
        queue_depth: config.hw_queue_depth,
        // By default, as a scheduler has nothing to gain here and adds a context switch to each
        // request.
        flags: Flags::NoDefaultScheduler.only_if(config.no_sched)
            | Flags::Stacking.only_if(config.backing_file.get().is_some())
            | Flags::SharedTags.only_if(config.shared_tag_bitmap)
            // Writes to memory allocate pages, and polled I/O of a file memory for itself.
            | Flags::Blocking.only_if(
                config.blocking || config.memory_backed || config.polls_a_file(),
            ),
        // Should it have gone offline, it is no better than any other.
        node: config.home_node.and_then(Node::online).unwrap_or(Node::ANY),
        timeout: TIMEOUT_MS,
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

/// Describes a disk whose data is in memory or nowhere.
pub(super) fn null_builder(config: &Config, zones: Option<&Zones>) -> Result<GenDiskBuilder> {
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

/// Describes a disk whose data is in a file.
pub(super) fn file_builder(config: &Config, backing: &Backing) -> Result<GenDiskBuilder> {
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
