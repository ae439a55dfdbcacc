// SPDX-License-Identifier: GPL-2.0

//! Changing the hardware queues of a disk.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use kernel::{
    bindings,
    prelude::*, //
};

use super::{
    hctx::HctxData,
    GenDisk,
    Operations,
    QueueCounts, //
};

impl<T: Operations> GenDisk<T> {
    /// Changes the hardware queues. Waits for all requests, and for dispatchers. May sleep, but must
    /// not be called where I/O of the disk waits for the caller.
    ///
    /// A hardware queue keeps its data if there is still one with its number. Polled I/O fails when
    /// there are no queues for it.
    ///
    /// # Errors
    ///
    /// The queues are what they were before.
    ///
    /// - [`EINVAL`] if there is no default queue, if the tag set has no map for a type, or if the
    ///   driver cannot poll and there are to be queues for that.
    /// - [`EBUSY`] if the disk shares its tag set with another one.
    /// - [`ENOMEM`], and the errors of [`Operations::init_hctx`].
    pub fn set_queues(&self, to: QueueCounts) -> Result {
        let set = self.tag_set();
        // SAFETY: By the type invariant. The number of maps never changes.
        let nr_maps = unsafe { (*set.as_raw()).nr_maps };
        let to = to.check::<T>(nr_maps)?;
        let total = i32::try_from(to.total().ok_or(EINVAL)?)?;

        let disks = set.disks.lock();
        if *disks != 1 {
            return Err(EBUSY);
        }
        if to == set.queues.counts() {
            return Ok(());
        }
        let make = |index| HctxData::<T>::boxed(self.queue_data(), index);
        set.queues.begin_change(to, make)?;
        // SAFETY: By the type invariant. While the lock is held, no other disk is made with the set,
        // the hardware queues of which blk-mq might not see here, and none is removed, the hardware
        // queues of which would be exited twice. A hardware queue that is used again by blk-mq has
        // gone in an earlier call, and no dispatcher uses it, because of the wait below.
        unsafe { bindings::blk_mq_update_nr_hw_queues(set.as_raw(), total) };
        let result = if set.queues.end_change() == to {
            Ok(())
        } else {
            Err(ENOMEM)
        };
        set.wait_for_dispatchers();
        result
    }
}
