// SPDX-License-Identifier: GPL-2.0

//! Requests that wait for events of a file.
//!
//! The request is in the wait queue of the file. When that is woken for an event that is waited for,
//! a work item completes the request; if it is woken without saying for what, the work item asks the
//! file first. The work item is needed because the lock of the wait queue is held in the callback,
//! and an eventfd that is signalled there could lead to the same lock.
//!
//! C header: [`include/linux/poll.h`](srctree/include/linux/poll.h)

use core::{
    cell::UnsafeCell,
    ffi::c_void, //
};

use kernel::{
    ffi::{
        c_int,
        c_uint, //
    },
    fs::File,
    impl_has_work, new_mutex, new_work,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::{
                Acquire,
                Full,
                Release, //
            },
            Atomic, //
        },
        Arc,
        ArcBorrow,
        Mutex, //
    },
    types::Opaque,
    workqueue::{
        Work,
        WorkItem, //
    },
};

use super::{
    context::ContextRef,
    iocb::Iocb,
    request::{
        Request,
        Requests, //
    },
};
use crate::{
    bindings,
    workqueue::system_percpu, //
};

/// What requests that wait belong to.
pub trait Polls: Requests {
    /// Notes a request, so that it can be cancelled. Sleeps.
    ///
    /// # Errors
    ///
    /// The request is not begun.
    fn poll_begins(wait: &Arc<PollWait<Self>>) -> Result;

    /// Forgets a request that ends. Sleeps.
    fn poll_ends(wait: &PollWait<Self>);
}

/// A request that waits for events of a file.
///
/// # Invariants
///
/// - The entry is initialized. While it is in a wait queue, that owns a reference to this object.
/// - `request` is accessed by the task that has set `claimed` only, or by the work item if the
///   callback has set it.
#[pin_data]
#[repr(C)]
pub struct PollWait<T: Polls> {
    // First, so that the callback finds the rest.
    #[pin]
    entry: Opaque<bindings::ext_poll_entry>,
    #[pin]
    work: Work<Self>,
    // Until nothing refers to this object, whose code is the module's.
    context: ContextRef<T>,
    /// Until the request is complete.
    #[pin]
    file: Mutex<Option<ARef<File>>>,
    /// The events that are waited for (`EPOLL*`).
    events: u32,
    /// The events that the callback has claimed the request for, or 0.
    woken: Atomic<u32>,
    claimed: Atomic<bool>,
    obj: u64,
    /// For the use of [`Polls`].
    pub index: Atomic<usize>,
    request: UnsafeCell<Option<Request<T>>>,
}

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Polls> Send for PollWait<T> {}

// SAFETY: What is not atomic does not change, is accessed by one task by the type invariants, or
// synchronizes itself.
unsafe impl<T: Polls> Sync for PollWait<T> {}

impl_has_work! {
    impl{T: Polls} HasWork<Self> for PollWait<T> { self.work }
}

impl<T: Polls> PollWait<T> {
    fn new(request: Request<T>, file: ARef<File>, events: u32) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                // INVARIANT: It is initialized here, and in no queue.
                entry <- Opaque::ffi_init(|entry| {
                    // SAFETY: `entry` is valid for writes, and does not move.
                    unsafe { bindings::ext_poll_init(entry, Some(Self::woken)) }
                }),
                work <- new_work!("PollWait::work"),
                context: request.context().clone(),
                file <- new_mutex!(Some(file)),
                events,
                woken: Atomic::new(0),
                claimed: Atomic::new(false),
                obj: request.obj(),
                index: Atomic::new(0),
                request: UnsafeCell::new(Some(request)),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the context.
    pub fn context(&self) -> &ContextRef<T> {
        &self.context
    }

    /// Returns the address of the request in user space.
    pub fn obj(&self) -> u64 {
        self.obj
    }

    /// Completes the request without an event, unless it has been completed. Sleeps. Returns whether
    /// it did.
    pub fn cancel(&self) -> bool {
        self.end(0)
    }

    /// Claims the request, unless it has been claimed. Returns whether it did.
    fn claim(&self) -> bool {
        !self.claimed.xchg(true, Full)
    }

    /// Takes the request out of the wait queue, and out of those that can be cancelled.
    ///
    /// # Safety
    ///
    /// The caller must have claimed it.
    unsafe fn take(&self) -> Option<Request<T>> {
        self.unqueue();
        T::poll_ends(self);
        // User space may expect that the file is not in use any more when it has the result.
        let file = self.file.lock().take();
        drop(file);
        // SAFETY: By the safety requirements of this function, and the type invariant.
        unsafe { (*self.request.get()).take() }
    }

    /// Completes the request with `mask`.
    ///
    /// # Safety
    ///
    /// As for [`take`](Self::take).
    unsafe fn complete(&self, mask: u32) {
        // SAFETY: By the safety requirements of this function.
        if let Some(request) = unsafe { self.take() } {
            // SAFETY: No requirements.
            request.complete(unsafe { bindings::ext_mangle_poll(mask) } as isize);
        }
    }

    /// Completes the request with `mask`, unless it has been completed. Returns whether it did.
    fn end(&self, mask: u32) -> bool {
        let claimed = self.claim();
        if claimed {
            // SAFETY: It has just been claimed.
            unsafe { self.complete(mask) };
        }
        claimed
    }

    /// Adds the entry to the wait queue of the file. Returns the events that there are, and whether
    /// there was one wait queue.
    fn queue(self: &Arc<Self>, file: &File) -> (u32, bool) {
        let mut queues = 0;
        let entry = Arc::into_raw(self.clone());
        // SAFETY: The entry is initialized, and stays as long as it has the reference.
        let mask = unsafe {
            bindings::ext_poll_add(file.as_ptr(), self.entry.get(), self.events, &mut queues)
        };
        if queues == 0 {
            // SAFETY: No queue got the reference.
            drop(unsafe { Arc::from_raw(entry) });
        }
        (mask, queues == 1)
    }

    /// Removes the entry from its wait queue, if it is in one.
    fn unqueue(&self) {
        // SAFETY: By the type invariant.
        if unsafe { bindings::ext_poll_remove(self.entry.get()) } {
            // SAFETY: The queue had the reference. The caller has another one.
            drop(unsafe { Arc::from_raw(self) });
        }
    }

    /// The callback of the wait queue, whose lock is held.
    ///
    /// # Safety
    ///
    /// For the wait queue to call, with the entry of such an object.
    unsafe extern "C" fn woken(
        wait: *mut bindings::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        key: *mut c_void,
    ) -> c_int {
        // CAST: The key has a mask, or is NULL.
        let mask = key.addr() as u32;
        // SAFETY: By the safety requirements of this function. By the type invariant the queue owns
        // a reference.
        let this = unsafe { &*wait.cast::<Self>() };
        if mask != 0 && mask & this.events == 0 {
            return 0;
        }
        let claimed = mask != 0 && this.claim();
        if claimed {
            this.woken.store(mask, Release);
        }
        // SAFETY: As above.
        let this = unsafe { ArcBorrow::from_raw(this) };
        // If it is queued already, it has not looked yet.
        let _ = system_percpu().enqueue(Arc::from(this));
        if claimed || mask & bindings::EXT_POLLFREE != 0 {
            // SAFETY: The entry is in the queue, whose lock is held. The reference was the queue's;
            // the work item has one.
            unsafe {
                bindings::ext_poll_unqueue(wait.cast());
                drop(Arc::from_raw(wait.cast::<Self>()));
            }
        }
        1
    }
}

impl<T: Polls> WorkItem for PollWait<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let woken = this.woken.load(Acquire);
        if woken != 0 {
            // SAFETY: The callback has claimed it, for this.
            unsafe { this.complete(woken) };
            return;
        }
        let Some(file) = this.file.lock().clone() else {
            // It is complete.
            return;
        };
        // SAFETY: The file is open.
        let mask = unsafe { bindings::ext_poll_again(file.as_ptr(), this.events) };
        drop(file);
        if mask != 0 {
            this.end(mask);
        }
    }
}

impl<T: Polls> Request<T> {
    /// Waits for the events in `iocb`. The context gets the request back when there is one, or when
    /// it is cancelled. May sleep.
    ///
    /// # Errors
    ///
    /// The context does not get the request.
    ///
    /// - `EINVAL`: the request has other fields than events, or the file has no wait queue or
    ///   several ones.
    /// - `ENOMEM`.
    pub fn poll(mut self, iocb: &Iocb) -> Result {
        let events = u16::try_from(iocb.buf).map_err(|_| EINVAL)?;
        let Some(file) = self.inner_mut().file.clone() else {
            return Err(EINVAL);
        };
        // SAFETY: No requirements.
        let events = unsafe { bindings::ext_poll_events(events) };
        let wait = PollWait::new(self, file.clone(), events)?;
        T::poll_begins(&wait)?;
        let (mask, one_queue) = wait.queue(&file);
        drop(file);
        if mask != 0 {
            wait.end(mask);
        } else if !one_queue {
            // If it has been woken or cancelled, it is complete.
            if wait.claim() {
                // SAFETY: It has just been claimed.
                drop(unsafe { wait.take() });
                return Err(EINVAL);
            }
        }
        if wait.claimed.load(Acquire) {
            // It may have been cancelled before it was in the queue.
            wait.unqueue();
        }
        Ok(())
    }
}
