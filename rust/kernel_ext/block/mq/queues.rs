// SPDX-License-Identifier: GPL-2.0

//! The hardware queues of a tag set: how many of each type, and which CPU uses which.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::ops::Range;

use kernel::{
    bindings,
    cpu::CpuId,
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

use super::{
    hctx::RetiredHctxs,
    HctxType,
    Operations, //
};

/// How many hardware queues a device has of each type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueCounts {
    /// For all I/O that no other queue is for. At least one.
    pub default: u32,
    /// For reads. If there is none, the default ones are used.
    pub read: u32,
    /// For polled I/O. If there is none, polling is not supported.
    pub poll: u32,
}

impl QueueCounts {
    /// Returns the number of queues of a type.
    pub fn of(&self, kind: HctxType) -> u32 {
        match kind {
            HctxType::Default => self.default,
            HctxType::Read => self.read,
            HctxType::Poll => self.poll,
        }
    }

    /// Returns the number of all queues, or [`None`] if no device can have as many.
    pub(super) fn total(&self) -> Option<u32> {
        self.default.checked_add(self.read)?.checked_add(self.poll)
    }

    /// Returns how many maps, in the order of [`HctxType::ALL`], it takes to describe this.
    pub(super) fn nr_maps(&self) -> u32 {
        match (self.read, self.poll) {
            (0, 0) => 1,
            (_, 0) => 2,
            _ => 3,
        }
    }
}

/// The data that the callbacks of a tag set find by its `driver_data`.
#[pin_data]
pub(super) struct Queues<T: Operations> {
    counts: QueueCounts,
    #[pin]
    retired: SpinLock<RetiredHctxs<T>>,
}

impl<T: Operations> Queues<T> {
    pub(super) fn new(counts: QueueCounts) -> impl PinInit<Self> {
        pin_init!(Self {
            counts,
            retired <- new_spinlock!(RetiredHctxs::new(), "retired_hctxs"),
        })
    }

    /// # Safety
    ///
    /// `set` must be the set of a [`super::TagSet<T>`] that lives for `'a`.
    pub(super) unsafe fn of<'a>(set: *mut bindings::blk_mq_tag_set) -> &'a Self {
        // SAFETY: By the safety requirements of this function and the type invariant of `TagSet`.
        unsafe { &*(*set).driver_data.cast() }
    }

    /// Keeps the data of a hardware queue that is gone until [`Self::take_retired`].
    ///
    /// # Safety
    ///
    /// The requirements of [`RetiredHctxs::push`].
    pub(super) unsafe fn retire(&self, data: *mut c_void) {
        // SAFETY: By the safety requirements of this function.
        unsafe { self.retired.lock().push(data) };
    }

    pub(super) fn take_retired(&self) -> RetiredHctxs<T> {
        self.retired.lock().take()
    }

    /// Spreads the CPUs over the hardware queues of each type.
    ///
    /// # Safety
    ///
    /// `set` must be the set of a [`super::TagSet<T>`] with these queues, and blk-mq must have it
    /// filled in its maps.
    pub(super) unsafe fn fill_maps(&self, set: *mut bindings::blk_mq_tag_set) {
        // SAFETY: By the safety requirements of this function; blk-mq does not change these while
        // the maps are filled in.
        let (nr_maps, nr_hw_queues) = unsafe { ((*set).nr_maps, (*set).nr_hw_queues) };

        let mut offset = 0;
        // CAST: From 32 bits to 64.
        for kind in HctxType::ALL.into_iter().take(nr_maps as usize) {
            // blk-mq limits the queues of a set with a single map to the number of CPUs.
            let nr = self.counts.of(kind).min(nr_hw_queues - offset);
            // SAFETY: The map exists, because its index is below `nr_maps`, and blk-mq has it
            // filled in by this function.
            unsafe {
                let map = &raw mut (*set).map[kind.index()];
                (*map).nr_queues = nr;
                (*map).queue_offset = offset;
                if nr > 0 {
                    bindings::blk_mq_map_queues(map);
                }
            }
            offset += nr;
        }
    }
}

/// Which CPU uses which hardware queue.
///
/// # Invariants
///
/// The map is initialized, and has an entry for every CPU number.
pub struct QueueMap<'a>(&'a bindings::blk_mq_queue_map);

impl<'a> QueueMap<'a> {
    /// Returns the map of a type, or [`None`] if there is no queue of that type.
    ///
    /// # Safety
    ///
    /// `set` must be an initialized tag set that lives for `'a`, the number of queues of which does
    /// not change.
    pub(super) unsafe fn of(set: *mut bindings::blk_mq_tag_set, kind: HctxType) -> Option<Self> {
        // SAFETY: By the safety requirements of this function.
        let (nr_maps, map) = unsafe { ((*set).nr_maps, &(*set).map[kind.index()]) };
        // INVARIANT: blk-mq has initialized the maps that are in use.
        // CAST: From 32 bits to 64.
        (kind.index() < nr_maps as usize && map.nr_queues > 0).then_some(Self(map))
    }

    /// Returns the numbers of the hardware queues in this map.
    pub fn queues(&self) -> Range<u32> {
        self.0.queue_offset..self.0.queue_offset + self.0.nr_queues
    }

    /// Returns the hardware queue that a CPU uses.
    pub fn queue_of(&self, cpu: CpuId) -> u32 {
        // CAST: From 32 bits to 64.
        // SAFETY: By the type invariant, because the number of a CPU is below `nr_cpu_ids`.
        unsafe { *self.0.mq_map.add(cpu.as_u32() as usize) }
    }
}
