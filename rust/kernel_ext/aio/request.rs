// SPDX-License-Identifier: GPL-2.0

//! Requests of a context.

use core::{
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    fs::File,
    prelude::*,
    sync::aref::ARef,
    uaccess::UserPtr, //
};

use super::{
    context::{
        ContextData,
        ContextRef, //
    },
    iocb::Iocb,
    ring::Event, //
};
use crate::{
    context::MaySleep,
    dio::{
        Deferred,
        DeferringKiocb,
        Outcome, //
    },
    eventfd::EventFd,
    fs::open_file::fget,
    sync::llist::Node, //
};

/// What requests belong to.
pub trait Requests: ContextData {
    /// Takes a request that is complete, with its result in [`Request::event`]. Any context, hard
    /// interrupts included.
    fn complete(request: Request<Self>);

    /// Takes a request whose completion has to be finished by a task that sleeps for results, and
    /// for nothing else, and soon. It is dropped if there is no such task. Any context, hard
    /// interrupts included.
    fn finish_later(request: Unfinished<Self>);
}

/// A request of a context, which it keeps.
///
/// # Invariants
///
/// The pointer comes from a box and belongs to this object.
pub struct Request<T: Requests>(NonNull<Inner<T>>);

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Requests> Send for Request<T> {}

#[repr(C)]
pub(super) struct Inner<T: Requests> {
    // First, so that the completion function finds the rest.
    pub(super) kiocb: DeferringKiocb,
    link: *mut c_void,
    context: ContextRef<T>,
    /// Until the request is complete.
    pub(super) file: Option<ARef<File>>,
    eventfd: Option<EventFd>,
    event: Event,
    /// The rest of the completion, of an [`Unfinished`] request.
    rest: Option<Deferred>,
}

impl<T: Requests> Request<T> {
    /// Allocates a request for what user space describes at `user_iocb`. May sleep.
    ///
    /// # Errors
    ///
    /// - `EBADF`: there is no such file descriptor.
    /// - Those of [`EventFd::fdget`].
    /// - `ENOMEM`.
    pub fn new(context: ContextRef<T>, iocb: &Iocb, user_iocb: UserPtr) -> Result<Self> {
        let file = fget(iocb.fildes)?;
        let eventfd = if iocb.flags & Iocb::RESFD != 0 {
            Some(EventFd::fdget(iocb.resfd)?)
        } else {
            None
        };
        let inner = Inner {
            // SAFETY: The file stays until the request is complete.
            kiocb: unsafe {
                DeferringKiocb::new(file.as_ptr(), iocb.offset, 0, true, Self::kiocb_complete)
            },
            link: null_mut(),
            context,
            file: Some(file),
            eventfd,
            event: Event {
                data: iocb.data,
                obj: user_iocb.as_const_ptr().addr() as u64,
                ..Event::default()
            },
            rest: None,
        };
        let inner = KBox::new(inner, GFP_KERNEL)?;
        // INVARIANT: It comes from a box.
        Ok(Self(NonNull::from(KBox::leak(inner))))
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    pub(super) fn inner_mut(&mut self) -> &mut Inner<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_mut() }
    }

    /// Returns the context.
    #[inline]
    pub fn context(&self) -> &ContextRef<T> {
        &self.inner().context
    }

    /// Returns the result.
    #[inline]
    pub fn event(&self) -> Event {
        self.inner().event
    }

    /// Returns the eventfd that is signalled when user space has the result.
    #[inline]
    pub fn eventfd(&self) -> Option<&EventFd> {
        self.inner().eventfd.as_ref()
    }

    /// Completes the request. Any context.
    pub(super) fn complete(mut self, res: isize) {
        self.set_result(res);
        T::complete(self);
    }

    fn set_result(&mut self, res: isize) {
        let inner = self.inner_mut();
        inner.event.res = res as i64;
        // User space may expect that the file is not in use any more when it has the result.
        inner.file = None;
    }

    /// The completion function of the kiocb.
    fn kiocb_complete(kiocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // INVARIANT: The request was given up when it was issued, and is the issuer's again.
        let mut request = Self(kiocb.cast());
        match outcome {
            Outcome::Done(res) => {
                request.end_write();
                request.complete(res);
            }
            Outcome::Deferred(deferred) => {
                request.inner_mut().rest = Some(deferred);
                // INVARIANT: It has just been set.
                T::finish_later(Unfinished(ManuallyDrop::new(request).0));
            }
        }
    }

    /// Drops the write count of the super block, if the request has one.
    fn end_write(&mut self) {
        // SAFETY: The kiocb is that of the request, which is not under way.
        unsafe { DeferringKiocb::end_write(self.inner().kiocb.as_raw()) };
    }

    /// Gives the request up for a pointer, until its completion function is called.
    pub(super) fn issue(self) -> NonNull<Inner<T>> {
        ManuallyDrop::new(self).0
    }

    /// Calls the completion function of a request that has been issued.
    ///
    /// # Safety
    ///
    /// `inner` must come from [`issue`](Self::issue), and the function not have been called.
    pub(super) unsafe fn complete_issued(inner: NonNull<Inner<T>>, res: isize) {
        Self::kiocb_complete(inner.cast(), Outcome::Done(res));
    }
}

impl<T: Requests> Drop for Request<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
    }
}

/// A request whose completion has to be finished in a task.
///
/// If it is dropped, another context finishes it, and the context gets it when it is complete.
///
/// # Invariants
///
/// The pointer comes from a box and belongs to this object. The request has the rest of its
/// completion.
pub struct Unfinished<T: Requests>(NonNull<Inner<T>>);

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Requests> Send for Unfinished<T> {}

impl<T: Requests> Unfinished<T> {
    /// Returns the context.
    #[inline]
    pub fn context(&self) -> &ContextRef<T> {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().context }
    }

    /// Finishes the completion, in a task that has slept for results. Sleeps.
    pub fn finish(self, ctx: &MaySleep) -> Request<T> {
        // INVARIANT: It belongs to the other object no more.
        let mut request = Request(ManuallyDrop::new(self).0);
        if let Some(rest) = request.inner_mut().rest.take() {
            let res = rest.run(ctx);
            request.end_write();
            request.set_result(res);
        }
        request
    }
}

impl<T: Requests> Drop for Unfinished<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let rest = unsafe { self.0.as_mut() }.rest.take();
        // The request belongs to the context that gets the rest.
        drop(rest);
    }
}

// SAFETY: The pointer is that of a box, which is unique to it and has the link in it.
unsafe impl<T: Requests> Node for Unfinished<T> {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: By the safety requirements of this function.
        unsafe { &raw mut (*ptr.cast::<Inner<T>>().as_ptr()).link }
    }
}

// SAFETY: As above.
unsafe impl<T: Requests> Node for Request<T> {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: By the safety requirements of this function.
        unsafe { &raw mut (*ptr.cast::<Inner<T>>().as_ptr()).link }
    }
}
