// SPDX-License-Identifier: GPL-2.0

//! How disks are made.
//!
//! C headers: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h),
//! [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    sync::Arc,
    types::{
        ForeignOwnable,
        ScopeGuard, //
    }, //
};

use crate::{
    bindings,
    block::{
        MAX_BLOCK_SIZE,
        SECTOR_SHIFT, //
    }, //
    compat::error::code::EOPNOTSUPP,
};

use super::{
    fops::Fops,
    tag_set::DiskTagSet,
    zones,
    GenDisk,
    Operations,
    TagSet,
    ZoneLimits, //
};

/// The most sectors that a request can have, whose bytes are counted by 32 bits.
const MAX_SECTORS: u32 = u32::MAX >> SECTOR_SHIFT;

/// The capacity, limits and features of a disk that is going to be made.
///
/// # Examples
///
/// ```
/// # use kernel::{prelude::*, sync::Arc};
/// # use kernel_ext::block::mq::{GenDisk, GenDiskBuilder, Operations, TagSet};
/// fn add<T: Operations>(
///     tag_set: Arc<TagSet<T>>,
///     queue_data: T::QueueData,
/// ) -> Result<GenDisk<T>> {
///     GenDiskBuilder::new()
///         .capacity_sectors(2048)
///         .logical_block_size(4096)?
///         .physical_block_size(4096)?
///         .write_cache(true)
///         .build(c"my_disk", tag_set, queue_data, None)
/// }
/// ```
pub struct GenDiskBuilder {
    limits: bindings::queue_limits,
    capacity: u64,
    read_only: bool,
}

impl GenDiskBuilder {
    /// Describes an empty disk with blocks of 512 bytes that takes I/O of any size and alignment.
    pub fn new() -> Self {
        Self {
            limits: bindings::queue_limits {
                logical_block_size: 1 << SECTOR_SHIFT,
                physical_block_size: 1 << SECTOR_SHIFT,
                max_hw_sectors: MAX_SECTORS,
                max_segments: u16::MAX,
                max_segment_size: u32::MAX,
                // The mask for an alignment of two bytes: 0 would stand for the default.
                dma_alignment: 1,
                ..pin_init::zeroed()
            },
            capacity: 0,
            read_only: false,
        }
    }

    /// Sets whether the disk can only be read.
    pub fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }

    /// Sets the capacity in sectors of 512 bytes.
    pub fn capacity_sectors(mut self, sectors: u64) -> Self {
        self.capacity = sectors;
        self
    }

    /// Sets the unit, in bytes, in which the disk is addressed.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] unless `bytes` is a power of two from 512 to [`MAX_BLOCK_SIZE`].
    pub fn logical_block_size(mut self, bytes: u32) -> Result<Self> {
        self.limits.logical_block_size = check_block_size(bytes)?;
        Ok(self)
    }

    /// Sets the unit, in bytes, that the disk writes without reading it before.
    ///
    /// The block layer raises it to the logical block size if it is less.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] unless `bytes` is a power of two from 512 to [`MAX_BLOCK_SIZE`].
    pub fn physical_block_size(mut self, bytes: u32) -> Result<Self> {
        self.limits.physical_block_size = check_block_size(bytes)?;
        Ok(self)
    }

    /// Sets the limit of the sectors of a request. The block layer rounds it down to a whole number
    /// of logical blocks.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if that is less than a page, or if 32 bits cannot count the bytes.
    pub fn max_hw_sectors(mut self, sectors: u32) -> Result<Self> {
        // CAST: A page has less than 4 GiB.
        let min = (PAGE_SIZE >> SECTOR_SHIFT) as u32;
        if !(min..=MAX_SECTORS).contains(&sectors) {
            return Err(EINVAL);
        }
        self.limits.max_hw_sectors = sectors;
        Ok(self)
    }

    /// Sets whether the memory of a request must have no gap: a piece of it that does not begin, or
    /// does not end, at the boundary of a page is the first, or the last.
    pub fn virt_boundary(mut self, yes: bool) -> Self {
        self.limits.virt_boundary_mask = if yes { PAGE_SIZE - 1 } else { 0 };
        self
    }

    /// Sets in which units the memory of requests must be, in bytes: a power of two.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] for any other number, and for more than [`PAGE_SIZE`].
    pub fn memory_alignment(mut self, bytes: u32) -> Result<Self> {
        // CAST: A page has less than 4 GiB.
        if !bytes.is_power_of_two() || bytes > PAGE_SIZE as u32 {
            return Err(EINVAL);
        }
        // 0 would stand for the default.
        self.limits.dma_alignment = (bytes - 1).max(1);
        Ok(self)
    }

    /// Sets in which units the disk frees space, in bytes. Less than a logical block means one.
    pub fn discard_granularity(mut self, bytes: u32) -> Self {
        self.limits.discard_granularity = bytes;
        self
    }

    /// Sets whether the disk rotates.
    pub fn rotational(self, yes: bool) -> Self {
        self.feature(bindings::EXT_BLK_FEAT_ROTATIONAL, yes)
    }

    /// Sets whether the disk has a volatile write cache, which a flush empties.
    pub fn write_cache(self, yes: bool) -> Self {
        self.feature(bindings::EXT_BLK_FEAT_WRITE_CACHE, yes)
    }

    /// Sets whether the disk can write through its cache (FUA). Without a cache it means nothing.
    pub fn fua(self, yes: bool) -> Self {
        self.feature(bindings::EXT_BLK_FEAT_FUA, yes)
    }

    /// Sets the limit of the sectors of a discard. 0, the default, means no discards.
    pub fn max_hw_discard_sectors(mut self, sectors: u32) -> Self {
        self.limits.max_hw_discard_sectors = sectors;
        self
    }

    /// Sets the limit of the sectors of a write of zeroes without data. 0, the default, means none
    /// of them.
    pub fn max_write_zeroes_sectors(mut self, sectors: u32) -> Self {
        self.limits.max_write_zeroes_sectors = sectors;
        self
    }

    /// Makes it a disk with zones, all of which must be written from the beginning to the end, unless
    /// they are conventional.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the limits contradict each other.
    /// - [`EOPNOTSUPP`] if the kernel has no zones.
    pub fn zoned(mut self, limits: &ZoneLimits) -> Result<Self> {
        limits.check()?;
        if !cfg!(CONFIG_BLK_DEV_ZONED) {
            return Err(EOPNOTSUPP);
        }
        self.limits.chunk_sectors = limits.zone_sectors;
        self.limits.max_open_zones = limits.max_open;
        self.limits.max_active_zones = limits.max_active;
        self.limits.max_hw_zone_append_sectors = limits.max_append_sectors;
        Ok(self.feature(bindings::EXT_BLK_FEAT_ZONED, true))
    }

    fn is_zoned(&self) -> bool {
        self.limits.features & bindings::EXT_BLK_FEAT_ZONED != 0
    }

    fn feature(mut self, bit: bindings::blk_features_t, yes: bool) -> Self {
        if yes {
            self.limits.features |= bit;
        } else {
            self.limits.features &= !bit;
        }
        self
    }

    /// Returns whether a request can transfer a block. The block layer refuses the limits otherwise, with a
    /// stack trace in the log.
    fn has_room_for_blocks(&self) -> bool {
        self.limits.max_hw_sectors >= self.limits.logical_block_size >> SECTOR_SHIFT
    }

    /// Makes the disk and adds it to the system. May sleep.
    ///
    /// User space sees the disk, and its I/O reaches the driver, before this returns. A disk that is
    /// [`zoned`](Self::zoned) needs `zones`, which are reported before, too; no other disk has any.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if the name is empty or too long, or the limits contradict each other or `zones`.
    ///   A request must be able to transfer a block.
    /// - [`ENODEV`] if the zones that are reported contradict the limits.
    /// - [`ENOMEM`], and the errors of [`Operations::init_hctx`].
    pub fn build<T: Operations>(
        mut self,
        name: &CStr,
        tag_set: Arc<TagSet<T>>,
        queue_data: T::QueueData,
        zones: Option<Arc<T::Zones>>,
    ) -> Result<GenDisk<T>> {
        if !self.has_room_for_blocks() || self.is_zoned() != zones.is_some() {
            return Err(EINVAL);
        }
        // Declared first, so that a disk that cannot be added is gone before it is no longer counted.
        let tag_set = DiskTagSet::new(tag_set);
        let data = ScopeGuard::new_with_data(queue_data.into_foreign(), |data| {
            // SAFETY: It came from `into_foreign()`. The disk that could use it is gone or was not
            // made. If it was, it was never in the system, so that it had no request.
            drop(unsafe { T::QueueData::from_foreign(data) });
        });

        let disk = from_err_ptr(tag_set.with_fixed_queues(|set| {
            // SAFETY: The tag set is initialized, and outlives the disk, because the returned object
            // has a reference of it. Its number of queues does not change meanwhile. The limits are
            // valid for the call.
            unsafe {
                bindings::__blk_mq_alloc_disk(
                    set,
                    &mut self.limits,
                    *data,
                    static_lock_class!().as_ptr(),
                )
            }
        }))?;
        let disk = ScopeGuard::new_with_data(disk, |disk: *mut bindings::gendisk| {
            // SAFETY: Made above and not added: no zones are reported any more.
            unsafe { zones::take::<T::Zones>(disk) };
            // SAFETY: As above: the only reference, unless a task has seen it while it was being added.
            unsafe { bindings::put_disk(disk) };
        });

        // SAFETY: Nothing else uses the disk until it is added. It has the limits of `self`, and no private
        // data.
        unsafe { self.set_up::<T>(*disk, name, zones)? };
        // SAFETY: The disk is complete, and not yet added.
        to_result(unsafe { bindings::device_add_disk(ptr::null_mut(), *disk, ptr::null_mut()) })?;

        data.dismiss();
        // SAFETY: Checked by `from_err_ptr()`; a disk is not at NULL.
        let disk = unsafe { NonNull::new_unchecked(disk.dismiss()) };
        // SAFETY: Added above; its queue has the data from `into_foreign()`.
        Ok(unsafe { GenDisk::from_raw(disk, tag_set) })
    }

    /// Sets what a disk is, as far as its limits do not.
    ///
    /// # Safety
    ///
    /// `disk` must be valid, have the limits of `self` and no private data, and not be in the system. It
    /// must be a disk of `T`.
    unsafe fn set_up<T: Operations>(
        &self,
        disk: *mut bindings::gendisk,
        name: &CStr,
        zones: Option<Arc<T::Zones>>,
    ) -> Result {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            (*disk).fops = &Fops::<T>::TABLE;
            set_name(disk, name)?;
            bindings::set_capacity(disk, self.capacity);
            bindings::set_disk_ro(disk, self.read_only);
        }
        match zones {
            // SAFETY: As above. `build()` has checked that the limits are those of a disk with zones.
            Some(zones) => unsafe { zones::give(disk, zones) },
            None => Ok(()),
        }
    }
}

impl Default for GenDiskBuilder {
    fn default() -> Self {
        Self::new()
    }
}

fn check_block_size(bytes: u32) -> Result<u32> {
    if bytes.is_power_of_two() && (1 << SECTOR_SHIFT..=MAX_BLOCK_SIZE).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(EINVAL)
    }
}

/// # Safety
///
/// `disk` must be valid, and not added to the system.
unsafe fn set_name(disk: *mut bindings::gendisk, name: &CStr) -> Result {
    // SAFETY: By the safety requirements of this function nothing else uses the name.
    let disk_name = unsafe { &mut (*disk).disk_name };
    let name = name.to_bytes_with_nul();
    if name.len() < 2 {
        return Err(EINVAL);
    }
    disk_name
        .get_mut(..name.len())
        .ok_or(EINVAL)?
        .copy_from_slice(name);
    Ok(())
}
