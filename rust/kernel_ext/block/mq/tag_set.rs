// SPDX-License-Identifier: GPL-2.0

//! Tag sets: the requests and hardware queues of a device.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use super::{
    operations::OperationsVTable,
    request::Pdu,
    HctxType,
    Operations, //
};
use core::marker::PhantomData;
use kernel::{
    bindings,
    container_of,
    error::to_result,
    prelude::*,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
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
    fn total(&self) -> Option<u32> {
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
}

/// What a tag set is made of.
pub struct TagSetConfig {
    /// The hardware queues.
    pub queues: QueueCounts,
    /// The number of requests of each hardware queue.
    pub queue_depth: u32,
    /// Whether [`Operations::queue_rq`] may sleep.
    pub blocking: bool,
    /// Whether a disk with a single queue starts without an I/O scheduler. Those with several do.
    pub no_sched_by_default: bool,
    /// The time in ms after which [`Operations::timeout`] is called. 0 for the default, 30 s.
    pub timeout: Msecs,
}

impl TagSetConfig {
    fn flags(&self) -> c_uint {
        let mut flags = 0;
        if self.blocking {
            flags |= bindings::BLK_MQ_F_BLOCKING;
        }
        if self.no_sched_by_default {
            flags |= bindings::BLK_MQ_F_NO_SCHED_BY_DEFAULT;
        }
        flags
    }
}

/// A `struct blk_mq_tag_set`.
///
/// # Invariants
///
/// - `self.inner` was initialised by `blk_mq_alloc_tag_set()`, and is not copied or moved.
/// - `self.queues.default` is not 0.
#[pin_data(PinnedDrop)]
pub struct TagSet<T: Operations> {
    // Initialised before `inner`: the C function calls `map_queues()` back.
    queues: QueueCounts,
    #[pin]
    inner: Opaque<bindings::blk_mq_tag_set>,
    _p: PhantomData<T>,
}

// SAFETY: A tag set belongs to no thread, and what the block layer changes in it, it locks.
unsafe impl<T: Operations> Send for TagSet<T> {}

// SAFETY: As above.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    /// Creates a tag set. May sleep.
    ///
    /// Fails with [`EINVAL`] when there is no default queue or no request.
    pub fn new(config: TagSetConfig) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            queues: Self::check(config.queues)?,
            // INVARIANT: Initialised here, or the initialiser fails.
            inner <- Opaque::try_ffi_init(move |set: *mut bindings::blk_mq_tag_set| {
                // SAFETY: `set` points to memory for a tag set, pinned, in a `Self` whose queues are
                // set.
                unsafe { Self::alloc(set, &config) }
            }),
            _p: PhantomData,
        })
    }

    fn check(queues: QueueCounts) -> Result<QueueCounts> {
        match queues.total() {
            Some(_) if queues.default > 0 => Ok(queues),
            _ => Err(EINVAL),
        }
    }

    /// # Safety
    ///
    /// `set` must point to memory for the `inner` of a pinned `Self`, the `queues` of which are set
    /// to those of `config`.
    unsafe fn alloc(set: *mut bindings::blk_mq_tag_set, config: &TagSetConfig) -> Result {
        let value = bindings::blk_mq_tag_set {
            ops: OperationsVTable::<T>::build(),
            nr_maps: config.queues.nr_maps(),
            nr_hw_queues: config.queues.total().ok_or(EINVAL)?,
            queue_depth: config.queue_depth,
            cmd_size: u32::try_from(size_of::<Pdu<T>>())?,
            numa_node: bindings::NUMA_NO_NODE,
            timeout: u32::try_from(msecs_to_jiffies(config.timeout))?,
            flags: config.flags(),
            ..pin_init::zeroed()
        };
        // SAFETY: By the safety requirements.
        unsafe { set.write(value) };
        // SAFETY: `set` is ready for the function: the callbacks are those of `T`, and the size of
        // the data behind a request is the one that they count on.
        to_result(unsafe { bindings::blk_mq_alloc_tag_set(set) })
    }

    /// Returns which CPU uses which hardware queue of a type, or [`None`] if there is no such queue.
    pub fn map(&self, kind: HctxType) -> Option<QueueMap<'_>> {
        // SAFETY: By the type invariant. The maps change only with the number of queues, which
        // nothing changes.
        let (nr_maps, map) = unsafe {
            let set = self.inner.get();
            ((*set).nr_maps, &raw const (*set).map[kind.index()])
        };
        // SAFETY: As above.
        let map = unsafe { &*map };
        (kind.index() < nr_maps as usize && map.nr_queues > 0).then_some(QueueMap(map))
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::blk_mq_tag_set {
        self.inner.get()
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for TagSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. Disks hold a reference of their set, so none is left.
        unsafe { bindings::blk_mq_free_tag_set(self.inner.get()) };
    }
}

/// Which CPU uses which hardware queue.
///
/// # Invariants
///
/// The map is initialised, and has an entry for every CPU number.
pub struct QueueMap<'a>(&'a bindings::blk_mq_queue_map);

impl QueueMap<'_> {
    /// Returns the numbers of the hardware queues in this map.
    pub fn queues(&self) -> core::ops::Range<u32> {
        self.0.queue_offset..self.0.queue_offset + self.0.nr_queues
    }

    /// Returns the hardware queue that a CPU uses.
    pub fn queue_of(&self, cpu: kernel::cpu::CpuId) -> u32 {
        // SAFETY: By the type invariant, as the number of a CPU is below `nr_cpu_ids`.
        unsafe { *self.0.mq_map.add(cpu.as_u32() as usize) }
    }
}

/// Spreads the CPUs over the hardware queues of each type.
///
/// # Safety
///
/// Only blk-mq may call this, for the `inner` of a `TagSet<T>` whose `queues` are set.
pub(super) unsafe extern "C" fn map_queues<T: Operations>(set: *mut bindings::blk_mq_tag_set) {
    let inner: *mut Opaque<bindings::blk_mq_tag_set> = set.cast();
    // SAFETY: By the safety requirements.
    let queues = unsafe {
        let this: *mut TagSet<T> = container_of!(inner, TagSet<T>, inner);
        (*this).queues
    };
    // SAFETY: blk-mq does not change these while it has the queues mapped.
    let (nr_maps, nr_hw_queues) = unsafe { ((*set).nr_maps, (*set).nr_hw_queues) };

    let mut offset = 0;
    for kind in HctxType::ALL.into_iter().take(nr_maps as usize) {
        // A set with a single map has at most as many queues as there are CPUs: blk-mq may have made
        // fewer than it was told.
        let nr = queues.of(kind).min(nr_hw_queues - offset);
        // SAFETY: The map exists, as its index is below `nr_maps`, and is ours to fill in.
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
