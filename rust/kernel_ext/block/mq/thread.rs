// SPDX-License-Identifier: GPL-2.0

//! Threads that serve requests.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use core::ptr::null_mut;

use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

use crate::{
    bindings,
    block::plug::with_plug,
    context::MayIo,
    sync::llist::LockLessList, //
};

use super::{
    request::Request,
    Hctx,
    Operations, //
};

/// Operations of drivers whose requests are served by threads.
pub trait ThreadOperations: Operations {
    /// Serves a request. Called by a thread of the kernel for which memory is allocated without I/O,
    /// which holds bios back until it has served what it has, and whose I/O and page cache are charged
    /// to the cgroup of the request.
    fn serve(rq: Request<Self>, io: &MayIo);
}

/// A thread with a list of requests to serve, in the order in which they were added.
///
/// To be part of the data of a hardware queue or of a request queue. The drop waits until the thread
/// has ended; what is still in the list is served before. The thread is frozen with the system.
///
/// # Invariants
///
/// `thread` has been started, for [`Self::run`].
#[pin_data(PinnedDrop)]
pub struct RequestThread<T: ThreadOperations> {
    requests: LockLessList<Request<T>>,
    #[pin]
    thread: Opaque<bindings::ext_io_thread>,
}

// SAFETY: A thread belongs to no other one; the list is `Send`.
unsafe impl<T: ThreadOperations> Send for RequestThread<T> {}

// SAFETY: The functions that take `&self` synchronize themselves; the list is `Sync`.
unsafe impl<T: ThreadOperations> Sync for RequestThread<T> {}

impl<T: ThreadOperations> RequestThread<T> {
    /// Starts a thread with this name. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if the current task is being killed.
    pub fn new(name: &CStr) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            requests: LockLessList::new(),
            // INVARIANT: It is started here.
            thread <- Opaque::try_ffi_init(|thread: *mut bindings::ext_io_thread| {
                // SAFETY: `thread` is valid for writes, and does not move. The function is not called
                // before it is queued.
                to_result(unsafe {
                    bindings::ext_io_thread_start(thread, Some(Self::run), name.as_char_ptr())
                })
            }),
        })
    }

    /// Adds a request, which is served after [`wake`](Self::wake). Any context.
    #[inline]
    pub fn push(&self, rq: Request<T>) {
        self.requests.push(rq);
    }

    /// Has all requests served. Any context.
    #[inline]
    pub fn wake(&self) {
        // If the thread has taken what the caller has added, it is awake.
        if self.requests.is_empty() {
            return;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_io_thread_queue(self.thread.get()) };
    }

    /// # Safety
    ///
    /// Only the thread of a `Self` may call this, with its `work`.
    unsafe extern "C" fn run(work: *mut bindings::kthread_work) {
        // SAFETY: By the safety requirements of this function. The drop waits for this call.
        let this = unsafe {
            let thread = container_of!(work, bindings::ext_io_thread, work);
            let thread: *mut Opaque<bindings::ext_io_thread> = thread.cast();
            &*container_of!(thread, Self, thread)
        };
        // SAFETY: This is that thread.
        unsafe { bindings::ext_io_thread_begin() };
        let io = MayIo::new();
        while !this.requests.is_empty() {
            let mut requests = this.requests.take_all();
            // Bios of a single request are submitted, and perhaps end, at once.
            if let Some(first) = requests.next() {
                // SAFETY: This is that thread.
                let serve = |rq| unsafe { this.serve(rq, &io) };
                if requests.is_empty() {
                    serve(first);
                } else {
                    with_plug(|| {
                        serve(first);
                        requests.for_each(serve);
                    });
                }
            }
            // SAFETY: This is that thread, with no request, in a context that may sleep.
            unsafe {
                bindings::ext_io_thread_adopt(this.thread.get(), null_mut());
                bindings::ext_io_thread_resched();
            }
        }
    }

    /// Serves a request as I/O of the cgroup that it is of.
    ///
    /// # Safety
    ///
    /// Only the thread of `self` may call this.
    unsafe fn serve(&self, rq: Request<T>, io: &MayIo) {
        // SAFETY: By the safety requirements of this function. The request is owned by the caller, and
        // so are its bios.
        unsafe { bindings::ext_io_thread_adopt(self.thread.get(), rq.as_raw()) };
        T::serve(rq, io);
    }
}

#[pinned_drop]
impl<T: ThreadOperations> PinnedDrop for RequestThread<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: What contains this is dropped in a context that may sleep. Waits for tasks that are in
        // `serve_later()`, whose request has ended already. Then the thread is stopped, which by the
        // type invariant has been started.
        unsafe {
            bindings::synchronize_rcu();
            bindings::ext_io_thread_stop(self.thread.get());
        }
    }
}

impl<T: ThreadOperations> Request<T> {
    /// Has the request served by a thread of its hardware queue. Any context.
    pub fn serve_later(self, thread: for<'a> fn(Hctx<'a, T>) -> &'a RequestThread<T>) {
        // The thread may end the request at any time from `push()` on. Then the disk can be removed,
        // and the drop of the thread waits for this critical section.
        let _rcu = rcu::read_lock();
        // SAFETY: The queue cannot go away while it has a started request. Later, only the thread is
        // accessed.
        let hctx = unsafe { Hctx::from_raw(self.hctx().as_raw()) };
        let thread = thread(hctx);
        thread.push(self);
        thread.wake();
    }
}
