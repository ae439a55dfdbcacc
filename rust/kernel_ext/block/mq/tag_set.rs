// SPDX-License-Identifier: GPL-2.0

//! Tag sets: the requests and hardware queues of a device.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::ops::{
    BitOr,
    Deref, //
};

use kernel::{
    bindings,
    error::to_result,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    types::Opaque, //
};

use crate::numa::Node;

use super::{
    operations::OperationsVTable,
    queues::Queues,
    request::Pdu,
    HctxType,
    Operations,
    QueueCounts,
    QueueMap, //
};

/// Properties of a tag set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(u32);

#[expect(non_upper_case_globals)]
impl Flags {
    /// [`Operations::queue_rq`] may sleep.
    pub const Blocking: Self = Self(bindings::BLK_MQ_F_BLOCKING);
    /// A disk with a single hardware queue starts without an I/O scheduler, as those with several
    /// do.
    pub const NoDefaultScheduler: Self = Self(bindings::BLK_MQ_F_NO_SCHED_BY_DEFAULT);
    /// All hardware queues share one set of requests.
    pub const SharedTags: Self = Self(bindings::BLK_MQ_F_TAG_HCTX_SHARED);

    /// Requests wait for other block devices or files. CPUs can go offline before they have ended.
    pub const Stacking: Self = Self(bindings::BLK_MQ_F_STACKING);

    /// Returns these flags if `condition` holds, and no flags otherwise.
    pub fn only_if(self, condition: bool) -> Self {
        if condition {
            self
        } else {
            Self::default()
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The configuration of a tag set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagSetConfig {
    /// The hardware queues.
    pub queues: QueueCounts,
    /// The number of requests of each hardware queue, or with [`Flags::SharedTags`] of all.
    pub queue_depth: u32,
    /// The properties.
    pub flags: Flags,
    /// Where the memory of the requests and queues is allocated.
    pub node: Node,
    /// The time in ms after which [`Operations::timeout`] is called. 0 for the default, 30 s.
    pub timeout: Msecs,
}

impl TagSetConfig {
    /// Returns the hardware queues that a set of `T` gets.
    ///
    /// # Errors
    ///
    /// Those of [`QueueCounts::check`].
    fn queues_of<T: Operations>(&self) -> Result<QueueCounts> {
        self.queues.check::<T>(self.queues.nr_maps_of::<T>())
    }
}

/// A `struct blk_mq_tag_set`.
///
/// # Invariants
///
/// - `self.inner` was initialized by `blk_mq_alloc_tag_set()` with the callbacks of `T`, and its
///   `driver_data` points to `self.queues`.
/// - `self.disks` counts the disks that use the set, are being made with it, or are being removed.
///   The maps and the number of queues change only while it is locked.
///
/// # Examples
///
/// ```
/// # use kernel::{prelude::*, sync::Arc};
/// # use kernel_ext::block::mq::{Flags, Operations, QueueCounts, TagSet, TagSetConfig};
/// # use kernel_ext::numa::Node;
/// fn tag_set<T: Operations>() -> Result<Arc<TagSet<T>>> {
///     let config = TagSetConfig {
///         queues: QueueCounts {
///             default: 2,
///             read: 0,
///             poll: 1,
///         },
///         queue_depth: 64,
///         flags: Flags::Blocking | Flags::NoDefaultScheduler,
///         node: Node::ANY,
///         timeout: 0,
///     };
///     Arc::pin_init(TagSet::new(config), GFP_KERNEL)
/// }
/// ```
#[pin_data(PinnedDrop)]
pub struct TagSet<T: Operations> {
    // Initialized before `inner`: `blk_mq_alloc_tag_set()` calls `map_queues()`.
    #[pin]
    pub(super) queues: Queues<T>,
    #[pin]
    pub(super) disks: Mutex<usize>,
    #[pin]
    inner: Opaque<bindings::blk_mq_tag_set>,
}

// SAFETY: A tag set belongs to no thread, and what the block layer changes in it, it locks. The
// data of hardware queues that it may own are `Send`.
unsafe impl<T: Operations> Send for TagSet<T> {}

// SAFETY: `&self` methods only use what the block layer or `Queues` lock.
unsafe impl<T: Operations> Sync for TagSet<T> {}

impl<T: Operations> TagSet<T> {
    /// Creates a tag set. May sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if there is no default queue or no request, or if there are queues for polled
    ///   I/O without [`Operations::poll`].
    /// - [`ENOMEM`], and the errors of [`Operations::new_request_data`].
    pub fn new(config: TagSetConfig) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            queues <- Queues::new(config.queues_of::<T>()?),
            // INVARIANT: No disk uses the set.
            disks <- new_mutex!(0),
            // INVARIANT: Initialized here, or the initializer fails.
            inner <- Opaque::try_ffi_init(move |set: *mut bindings::blk_mq_tag_set| {
                // SAFETY: `set` points to memory for a tag set, pinned with the queues, which are
                // initialized above.
                unsafe { Self::alloc(set, &config, &raw const (*this.as_ptr()).queues) }
            }),
        })
    }

    /// # Safety
    ///
    /// `set` must point to memory for the `inner` of a pinned `Self`, and `queues` to its queues,
    /// which must be initialized for `config`.
    unsafe fn alloc(
        set: *mut bindings::blk_mq_tag_set,
        config: &TagSetConfig,
        queues: *const Queues<T>,
    ) -> Result {
        let value = bindings::blk_mq_tag_set {
            ops: OperationsVTable::<T>::build(),
            nr_maps: config.queues.nr_maps_of::<T>(),
            nr_hw_queues: config.queues_of::<T>()?.total().ok_or(EINVAL)?,
            queue_depth: config.queue_depth,
            cmd_size: u32::try_from(size_of::<Pdu<T>>())?,
            numa_node: config.node.into_raw(),
            timeout: u32::try_from(msecs_to_jiffies(config.timeout))?,
            flags: config.flags.0,
            driver_data: queues.cast_mut().cast(),
            ..pin_init::zeroed()
        };
        // SAFETY: By the safety requirements of this function.
        unsafe { set.write(value) };
        // SAFETY: `set` is ready for the function: the callbacks are those of `T`, and the size of
        // the data behind a request is the one that they expect.
        to_result(unsafe { bindings::blk_mq_alloc_tag_set(set) })
    }

    /// Returns which CPU uses which hardware queue of a type, or [`None`] if there is no such
    /// queue. May sleep. As long as the result exists, calls for the same set wait for it.
    pub fn map(&self, kind: HctxType) -> Option<QueueMap<'_>> {
        // SAFETY: By the type invariant.
        unsafe { QueueMap::of(self.as_raw(), kind, self.disks.lock()) }
    }

    /// Returns how many hardware queues there are of each type.
    pub fn queues(&self) -> QueueCounts {
        self.queues.counts()
    }

    pub(super) fn as_raw(&self) -> *mut bindings::blk_mq_tag_set {
        self.inner.get()
    }

    /// Waits until every call of [`Operations::queue_rq`] and [`Operations::commit_rqs`] that has
    /// begun has returned, and frees the data of the hardware queues that were gone before. May
    /// sleep.
    ///
    /// To freeze the queues is not enough for this: that waits for requests, the last of which
    /// [`Operations::queue_rq`] may have ended before it returns.
    pub fn wait_for_dispatchers(&self) {
        let retired = self.queues.take_retired();
        // SAFETY: By the type invariant. This waits for the read-side critical sections of RCU, or
        // of the set's SRCU if it is blocking, in which blk-mq calls `queue_rq` and `commit_rqs`.
        unsafe { bindings::blk_mq_wait_quiesce_done(self.as_raw()) };
        // SAFETY: All calls that borrow the data have returned: those of dispatchers as of now, and
        // pollers and timeout handlers held references of the queue, which was frozen before they
        // were retired. What no hardware queue has had is not borrowed.
        unsafe { retired.free() };
    }
}

/// A reference of a tag set, for a disk that uses it.
///
/// # Invariants
///
/// `self.0.disks` has been incremented for it.
pub(super) struct DiskTagSet<T: Operations>(Arc<TagSet<T>>);

impl<T: Operations> DiskTagSet<T> {
    /// Counts a disk that is going to be made.
    pub(super) fn new(tag_set: Arc<TagSet<T>>) -> Self {
        *tag_set.disks.lock() += 1;
        // INVARIANT: Just incremented.
        Self(tag_set)
    }

    /// Calls `f` while the maps and the number of queues are not changed.
    pub(super) fn with_fixed_queues<R>(
        &self,
        f: impl FnOnce(*mut bindings::blk_mq_tag_set) -> R,
    ) -> R {
        let _disks = self.0.disks.lock();
        f(self.0.as_raw())
    }
}

impl<T: Operations> Deref for DiskTagSet<T> {
    type Target = TagSet<T>;

    fn deref(&self) -> &TagSet<T> {
        &self.0
    }
}

impl<T: Operations> Drop for DiskTagSet<T> {
    fn drop(&mut self) {
        *self.0.disks.lock() -= 1;
    }
}

#[pinned_drop]
impl<T: Operations> PinnedDrop for TagSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // A dispatcher may still be about to leave the read-side critical section of the SRCU that
        // the set owns.
        self.wait_for_dispatchers();
        // SAFETY: By the type invariant. Disks hold a reference of their set, so none is left.
        unsafe { bindings::blk_mq_free_tag_set(self.as_raw()) };
    }
}
