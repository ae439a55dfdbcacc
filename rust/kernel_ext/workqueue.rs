// SPDX-License-Identifier: GPL-2.0

//! Workqueues of one's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{
    ops::Deref,
    ptr::null_mut, //
};

use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        rcu,
        Arc, //
    },
    workqueue::{
        Queue,
        RawWorkItem,
        Work,
        WorkItem, //
    },
};

use crate::{
    bindings,
    context::Io, //
};

/// A workqueue that is owned. Dropping it waits for everything queued on it, so it sleeps.
pub struct OwnedQueue(QueueHandle);

impl OwnedQueue {
    /// Allocates a workqueue that makes progress without memory (`WQ_MEM_RECLAIM`), as whatever
    /// completes writes must: reclaim may be waiting for one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_mem_reclaim(name: &CStr) -> Result<Self> {
        let handle = QueueHandle(Arc::new(Atomic::new(null_mut()), GFP_KERNEL)?);
        // SAFETY: The format takes one string, which `name` is; it is copied.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_PERCPU,
                0,
                name.as_char_ptr(),
            )
        };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: The queue is allocated, and destroyed nowhere but in `drop`.
        handle.0.store(queue, ordering::Release);
        Ok(Self(handle))
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // INVARIANT: No handle leads to the queue from here on, but for those in use.
        let queue = self.0 .0.xchg(null_mut(), ordering::Full);
        // SAFETY: May sleep, as the type says. Waits for the handles in use.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: The queue is ours, and nobody can queue on it any more.
        unsafe { bindings::destroy_workqueue(queue) };
    }
}

/// A way to a queue that may be gone: for those who cannot know, since what they have just handed
/// over may have been all that kept its owner.
///
/// # Invariants
///
/// The pointer is null, or a workqueue that is destroyed at least one RCU grace period after the
/// pointer has become null.
#[derive(Clone)]
struct QueueHandle(Arc<Atomic<*mut bindings::workqueue_struct>>);

impl QueueHandle {
    /// Queues `work`, unless it is queued already, or the queue is gone. Any context.
    fn enqueue<W, const ID: u64>(&self, work: W)
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        let _rcu = rcu::read_lock();
        let queue = self.0.load(ordering::Acquire);
        if !queue.is_null() {
            // SAFETY: By the type invariant it is not destroyed before the RCU lock is dropped.
            unsafe { Queue::from_raw(queue) }.enqueue(work);
        }
    }
}

/// What a work item is for.
pub trait IoWorkItem: Sized + Send + Sync + 'static {
    /// Called for one or more times that the work item was queued.
    fn run(&self, io: &Io);
}

/// A work item that does I/O, on a queue of its own.
#[pin_data]
pub struct IoWork<T: IoWorkItem> {
    #[pin]
    item: T,
    queue: QueueHandle,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{T: IoWorkItem} HasWork<Self> for IoWork<T> { self.work }
}

impl<T: IoWorkItem> IoWork<T> {
    /// Creates a work item for `queue`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(item: impl PinInit<T>, queue: &OwnedQueue) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                item <- item,
                queue: queue.0.clone(),
                work <- new_work!("IoWork::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// Queues it, unless it is queued already, or the queue is gone. Any context.
    pub fn enqueue(self: Arc<Self>) {
        self.queue.clone().enqueue(self);
    }

    /// Waits until it has been run for all that it was queued for. Not from the work item itself.
    pub fn flush(&self, _io: &Io) {
        // SAFETY: The work item is initialized, and stays as long as `self`.
        unsafe { bindings::flush_work(Work::raw_get(&self.work)) };
    }
}

impl<T: IoWorkItem> Deref for IoWork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: IoWorkItem> WorkItem for IoWork<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.item.run(&Io::new());
    }
}
