// SPDX-License-Identifier: GPL-2.0

//! Disks.
//!
//! C headers: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h),
//! [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::ptr::NonNull;

use kernel::types::ForeignOwnable;

use crate::{
    bindings,
    block::BlockDevice, //
};

use super::{
    tag_set::DiskTagSet,
    BorrowedQueueData,
    Operations,
    TagSet, //
};

/// A disk that is in the system.
///
/// Its drop removes it: new I/O fails, and I/O in flight is waited for. A task that still has it
/// open keeps the module of the driver loaded, but its I/O no longer reaches the driver.
///
/// # Invariants
///
/// - `self.disk` is a live disk that was added, with a queue that uses `self.tag_set`.
/// - The data of its queue came from `T::QueueData::into_foreign()`.
pub struct GenDisk<T: Operations> {
    disk: NonNull<bindings::gendisk>,
    // Dropped after the disk is gone, see `drop()`.
    tag_set: DiskTagSet<T>,
}

// SAFETY: A disk belongs to no thread. Its tag set is `Send` and `Sync`, and so are the data of its
// queue.
unsafe impl<T: Operations> Send for GenDisk<T> {}

// SAFETY: `&self` methods only read what does not change, or call C functions that lock; the tag set
// is `Sync`.
unsafe impl<T: Operations> Sync for GenDisk<T> {}

impl<T: Operations> GenDisk<T> {
    /// # Safety
    ///
    /// The type invariants must hold, and the disk must be nothing else's.
    pub(super) unsafe fn from_raw(
        disk: NonNull<bindings::gendisk>,
        tag_set: DiskTagSet<T>,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self { disk, tag_set }
    }

    /// Returns the block device that is the whole disk.
    pub fn part0(&self) -> &BlockDevice {
        // SAFETY: By the type invariant the disk is live as long as `self`, and so is its first
        // block device, which is part of it.
        unsafe { BlockDevice::from_raw((*self.disk.as_ptr()).part0) }
    }

    /// Fails all I/O that begins from now on, as if the device had been pulled out. May sleep.
    ///
    /// Without this, the removal of the disk first syncs its file system and writes its page cache
    /// back.
    pub fn mark_dead(&self) {
        // SAFETY: By the type invariant. The function may be called several times.
        unsafe { bindings::blk_mark_disk_dead(self.disk.as_ptr()) };
    }

    /// Returns the data of the queue.
    pub(super) fn queue_data(&self) -> BorrowedQueueData<'_, T> {
        // SAFETY: By the type invariant. They are dropped with `self`.
        unsafe { T::QueueData::borrow((*(*self.disk.as_ptr()).queue).queuedata) }
    }

    /// Returns the requests and hardware queues of the disk.
    pub fn tag_set(&self) -> &TagSet<T> {
        &self.tag_set
    }
}

impl<T: Operations> Drop for GenDisk<T> {
    fn drop(&mut self) {
        let disk = self.disk.as_ptr();
        // SAFETY: By the type invariant.
        let queue_data = unsafe { (*(*disk).queue).queuedata };
        // SAFETY: By the type invariant. This freezes the queue for good: it waits for all
        // requests, pollers and timeout handlers. Dispatchers may still be in the driver, with all
        // of their requests ended. (In 7.3 the removal of the I/O scheduler waits for them, too,
        // but that is not documented.)
        unsafe { bindings::del_gendisk(disk) };
        self.tag_set.wait_for_dispatchers();
        // SAFETY: By the type invariant. A dispatcher that has just returned may have kicked the work
        // for requests that are to be requeued, of which there is none. Nothing kicks it any more.
        unsafe { bindings::cancel_delayed_work_sync(&raw mut (*(*disk).queue).requeue_work) };
        // SAFETY: The reference of `self`. Tasks that have the disk open may hold others; the queue
        // that they reach is frozen.
        unsafe { bindings::put_disk(disk) };
        // SAFETY: By the type invariant the pointer came from `into_foreign()`, and no callback of
        // the driver, which might borrow it, runs or follows.
        drop(unsafe { T::QueueData::from_foreign(queue_data) });
    }
}
