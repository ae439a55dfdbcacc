// SPDX-License-Identifier: GPL-2.0

//! The hardware queues of a tag set: how many of each type, and which CPU uses which.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::ops::Range;

use kernel::{
    bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    new_spinlock,
    prelude::*,
    sync::{
        MutexGuard,
        SpinLock, //
    },
    types::ForeignOwnable, //
};

use super::{
    hctx::{
        HctxData,
        HctxDataList, //
    },
    BorrowedQueueData,
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
    fn nr_maps(&self) -> u32 {
        match (self.read, self.poll) {
            (0, 0) => 1,
            (_, 0) => 2,
            _ => 3,
        }
    }

    /// Returns how many maps a tag set of `T` has that begins with these queues: also one for polled
    /// I/O, if the driver can poll, because such queues may be added later.
    pub(super) fn nr_maps_of<T: Operations>(&self) -> u32 {
        if T::HAS_POLL {
            // CAST: There are three.
            HctxType::ALL.len() as u32
        } else {
            self.nr_maps()
        }
    }

    /// Checks the queues for a tag set of `T` with so many maps. Returns those that it gets: with a
    /// single map, blk-mq limits them to the number of CPUs.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if there is no default queue, if they cannot be counted, or if there is no map or
    /// no callback for a type.
    pub(super) fn check<T: Operations>(mut self, nr_maps: u32) -> Result<Self> {
        let can_poll = T::HAS_POLL || self.poll == 0;
        if self.default == 0 || !can_poll || self.nr_maps() > nr_maps {
            return Err(EINVAL);
        }
        if nr_maps == 1 {
            self.default = self.default.min(nr_cpu_ids());
        }
        // blk-mq takes the number as a signed one.
        let total = self.total().ok_or(EINVAL)?;
        i32::try_from(total).map_err(|_| EINVAL)?;
        Ok(self)
    }
}

/// A change of the hardware queues that is under way.
struct Change<T: Operations> {
    from: QueueCounts,
    to: QueueCounts,
    /// Data for the hardware queues that are made: blk-mq makes all of them anew.
    spare: HctxDataList<T>,
}

struct State<T: Operations> {
    /// The queues that the maps were last filled in for.
    counts: QueueCounts,
    change: Option<Change<T>>,
    retired: HctxDataList<T>,
}

/// The data that the callbacks of a tag set find by its `driver_data`.
#[pin_data]
pub(super) struct Queues<T: Operations> {
    // Not held while memory is allocated.
    #[pin]
    state: SpinLock<State<T>>,
}

impl<T: Operations> Queues<T> {
    pub(super) fn new(counts: QueueCounts) -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State {
                counts,
                change: None,
                retired: HctxDataList::new(),
            }, "hctx_data"),
        })
    }

    /// # Safety
    ///
    /// `set` must be the set of a [`super::TagSet<T>`] that lives for `'a`.
    pub(super) unsafe fn of<'a>(set: *mut bindings::blk_mq_tag_set) -> &'a Self {
        // SAFETY: By the safety requirements of this function and the type invariant of `TagSet`.
        unsafe { &*(*set).driver_data.cast() }
    }

    /// Returns how many hardware queues there are.
    pub(super) fn counts(&self) -> QueueCounts {
        self.state.lock().counts
    }

    /// Has the maps filled in for `to` from now on if there are as many hardware queues.
    ///
    /// The data of those that are new are made here. The rest get what those had that they replace.
    /// So blk-mq, which replaces all of them while the queue is frozen, does not depend on memory or
    /// threads for them.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`Operations::init_hctx`]. Nothing has changed.
    pub(super) fn begin_change(
        &self,
        to: QueueCounts,
        make: impl Fn(u32) -> Result<Pin<KBox<HctxData<T>>>>,
    ) -> Result {
        let from = self.counts();
        let mut spare = HctxDataList::new();
        for index in from.total().ok_or(EINVAL)?..to.total().ok_or(EINVAL)? {
            match make(index) {
                // SAFETY: It has just been made.
                Ok(data) => unsafe { spare.push(data.into_foreign()) },
                Err(error) => {
                    // SAFETY: No hardware queue had them.
                    unsafe { spare.free() };
                    return Err(error);
                }
            }
        }
        self.state.lock().change = Some(Change { from, to, spare });
        Ok(())
    }

    /// Ends a change. Returns the number of hardware queues. The data that they do not need are kept
    /// until [`Self::take_retired`].
    pub(super) fn end_change(&self) -> QueueCounts {
        let mut state = self.state.lock();
        if let Some(change) = state.change.take() {
            state.retired.append(change.spare);
        }
        state.counts
    }

    /// Returns data for a hardware queue, with their ownership.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`Operations::init_hctx`].
    pub(super) fn take_or_make(
        &self,
        queue_data: BorrowedQueueData<'_, T>,
        index: u32,
    ) -> Result<*mut c_void> {
        let mut state = self.state.lock();
        let spare = state.change.as_mut().map(|change| &mut change.spare);
        let taken = spare.and_then(|spare| spare.remove(index));
        drop(state);
        match taken {
            Some(data) => Ok(data),
            None => Ok(HctxData::<T>::boxed(queue_data, index)?.into_foreign()),
        }
    }

    /// Keeps the data of a hardware queue that is gone: for one that replaces it, or until
    /// [`Self::take_retired`].
    ///
    /// # Safety
    ///
    /// The requirements of [`HctxDataList::push`].
    pub(super) unsafe fn retire(&self, data: *mut c_void) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let list = match &mut state.change {
            Some(change) => &mut change.spare,
            None => &mut state.retired,
        };
        // SAFETY: By the safety requirements of this function.
        unsafe { list.push(data) };
    }

    pub(super) fn take_retired(&self) -> HctxDataList<T> {
        self.state.lock().retired.take()
    }

    /// Returns the queues to fill the maps in for, when there are `total` hardware queues.
    fn counts_for(&self, total: u32) -> QueueCounts {
        let mut state = self.state.lock();
        if let Some(change) = &state.change {
            // blk-mq may lack memory for more queues than there were. Then there are as many as
            // before.
            state.counts = if change.to.total() == Some(total) {
                change.to
            } else {
                change.from
            };
        }
        state.counts
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
        let counts = self.counts_for(nr_hw_queues);

        let mut offset = 0;
        // CAST: From 32 bits to 64.
        for kind in HctxType::ALL.into_iter().take(nr_maps as usize) {
            // They are what they are for, so that this changes nothing. A number that is too large
            // would have blk-mq use hardware queues that do not exist.
            let nr = counts.of(kind).min(nr_hw_queues - offset);
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

/// Which CPU uses which hardware queue. As long as it exists, the hardware queues do not change.
///
/// # Invariants
///
/// The map is initialized, has an entry for every CPU number, and does not change as long as the
/// guard is held.
pub struct QueueMap<'a> {
    map: &'a bindings::blk_mq_queue_map,
    _guard: MutexGuard<'a, usize>,
}

impl<'a> QueueMap<'a> {
    /// Returns the map of a type, or [`None`] if there is no queue of that type.
    ///
    /// # Safety
    ///
    /// `set` must be an initialized tag set that lives for `'a`, the maps of which do not change as
    /// long as `guard` is held.
    pub(super) unsafe fn of(
        set: *mut bindings::blk_mq_tag_set,
        kind: HctxType,
        guard: MutexGuard<'a, usize>,
    ) -> Option<Self> {
        // SAFETY: By the safety requirements of this function.
        let (nr_maps, map) = unsafe { ((*set).nr_maps, &(*set).map[kind.index()]) };
        // CAST: From 32 bits to 64.
        let exists = kind.index() < nr_maps as usize && map.nr_queues > 0;
        // INVARIANT: blk-mq has initialized the maps that are in use.
        exists.then_some(Self { map, _guard: guard })
    }

    /// Returns the numbers of the hardware queues in this map.
    pub fn queues(&self) -> Range<u32> {
        self.map.queue_offset..self.map.queue_offset + self.map.nr_queues
    }

    /// Returns the hardware queue that a CPU uses.
    pub fn queue_of(&self, cpu: CpuId) -> u32 {
        // CAST: From 32 bits to 64.
        // SAFETY: By the type invariant, because the number of a CPU is below `nr_cpu_ids`.
        unsafe { *self.map.mq_map.add(cpu.as_u32() as usize) }
    }
}
