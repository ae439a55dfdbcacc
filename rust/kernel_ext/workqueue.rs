// SPDX-License-Identifier: GPL-2.0

//! Owned workqueues.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::{
    ops::Deref,
    ptr::null_mut, //
};

use kernel::{
    ffi::c_uint,
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
    context::MayIo, //
};

/// Returns the queue for work items that run on the CPU where they are queued, and not for long.
///
/// `kernel::workqueue::system()` is the one that Linux is going to remove, and logs a warning.
pub(crate) fn system_percpu() -> &'static Queue {
    // SAFETY: `system_percpu_wq` is a C global, always available.
    unsafe { Queue::from_raw(bindings::system_percpu_wq) }
}

/// A workqueue. Dropping it waits for everything queued on it, so it sleeps.
pub struct OwnedQueue(QueueHandle);

impl OwnedQueue {
    /// Allocates a workqueue that makes progress without memory (`WQ_MEM_RECLAIM`), as completions
    /// of writes must, because reclaim may wait for one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new_mem_reclaim(name: &CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_MEM_RECLAIM)
    }

    /// Allocates a workqueue without a rescuer.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel_ext::{context::MayIo, workqueue::{IoWork, IoWorkItem, OwnedQueue}};
    ///
    /// struct Hello;
    ///
    /// impl IoWorkItem for Hello {
    ///     fn run(&self, _io: &MayIo) {
    ///         pr_info!("hello\n");
    ///     }
    /// }
    ///
    /// fn say_hello() -> Result {
    ///     let queue = OwnedQueue::new(c"hello")?;
    ///     let work = IoWork::new(Hello, &queue)?;
    ///     work.enqueue();
    ///     // Waits for the work.
    ///     drop(queue);
    ///     Ok(())
    /// }
    /// ```
    pub fn new(name: &CStr) -> Result<Self> {
        Self::with_flags(name, 0)
    }

    fn with_flags(name: &CStr, flags: c_uint) -> Result<Self> {
        let handle = QueueHandle(Arc::new(Atomic::new(null_mut()), GFP_KERNEL)?);
        // SAFETY: The format takes one string, which `name` is; it is copied.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags | bindings::wq_flags_WQ_PERCPU,
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
        // INVARIANT: Only handles that are in use lead to the queue from here on.
        let queue = self.0 .0.xchg(null_mut(), ordering::Full);
        // SAFETY: May sleep, as the type says. Waits for the handles in use.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: The queue is ours, and no handle leads to it any more.
        unsafe { bindings::destroy_workqueue(queue) };
    }
}

/// A handle of a queue that may have been destroyed, for a caller that has just given up the last
/// reference to the owner of the queue.
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

/// The function of a work item.
pub trait IoWorkItem: Sized + Send + Sync + 'static {
    /// Called after the work item was queued, once or more often.
    fn run(&self, io: &MayIo);
}

/// A work item that may do I/O.
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

    /// Queues the item, unless it is queued already, or the queue is gone. Any context.
    pub fn enqueue(self: Arc<Self>) {
        self.queue.clone().enqueue(self);
    }

    /// Waits until the item has been run for all that it was queued for. Sleeps. Must not be called
    /// by the item itself, which would wait forever.
    pub fn flush(&self, _io: &MayIo) {
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
        this.item.run(&MayIo::new());
    }
}
