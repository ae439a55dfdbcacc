// SPDX-License-Identifier: GPL-2.0

//! Workqueues of one's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use core::ptr::null_mut;

use kernel::{
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
        RawWorkItem, //
    },
};

use crate::bindings;

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

    /// A handle to queue on it.
    pub fn handle(&self) -> QueueHandle {
        self.0.clone()
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
pub struct QueueHandle(Arc<Atomic<*mut bindings::workqueue_struct>>);

impl QueueHandle {
    /// Queues `work`, unless it is queued already, or the queue is gone. Any context.
    pub fn enqueue<W, const ID: u64>(&self, work: W)
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
