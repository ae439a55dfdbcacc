// SPDX-License-Identifier: GPL-2.0

//! Requests of a context.

use core::{
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{
        self,
        null_mut,
        NonNull, //
    },
};

use kernel::{
    fs::File,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Full,
            Atomic, //
        },
    },
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
    bindings,
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
    /// References of an issued request: that of the submitter, whose function may access the kiocb
    /// and the file after the request is complete, and that of the completion.
    refs: Atomic<u32>,
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
            refs: Atomic::new(0),
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
        self.deliver();
    }

    /// Passes the request to its context, with the result that has been set.
    fn deliver(mut self) {
        // User space may expect that the file is not in use any more when it has the result.
        self.inner_mut().file = None;
        T::complete(self);
    }

    fn set_result(&mut self, res: isize) {
        self.inner_mut().event.res = res as i64;
    }

    /// The completion function of the kiocb.
    fn kiocb_complete(kiocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // INVARIANT: The kiocb is that of a request that was issued, and the reference of the
        // completion is given up for this call.
        let mut ended = Ended(kiocb.cast());
        match outcome {
            Outcome::Done(res) => ended.set_result(res),
            Outcome::Deferred(deferred) => {
                ended.set_rest(deferred);
                // INVARIANT: It has just been set.
                T::finish_later(Unfinished(ManuallyDrop::new(ended).0));
            }
        }
    }

    /// Gives the request up for the reference of the submitter. The completion function of its kiocb
    /// has the other one.
    pub(super) fn issue(mut self) -> Issued<T> {
        *self.inner_mut().refs.get_mut() = 2;
        // INVARIANT: This is one of the two.
        Issued(ManuallyDrop::new(self).0)
    }
}

/// The submitter's reference to a request that has been issued.
///
/// # Invariants
///
/// The pointer comes from a [`Request`] and has a reference that belongs to this object.
pub(super) struct Issued<T: Requests>(NonNull<Inner<T>>);

impl<T: Requests> Issued<T> {
    /// Calls the completion function of a request that was not queued.
    pub(super) fn complete(&self, res: isize) {
        Request::<T>::kiocb_complete(self.0.cast(), Outcome::Done(res));
    }
}

impl<T: Requests> Drop for Issued<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { Inner::put(self.0) };
    }
}

/// The completion's reference to a request.
///
/// # Invariants
///
/// The pointer comes from a [`Request`] and has a reference that belongs to this object. The kiocb has
/// ended.
struct Ended<T: Requests>(NonNull<Inner<T>>);

impl<T: Requests> Ended<T> {
    /// Sets the result. Drops the write count of the super block, if the request has one.
    fn set_result(&mut self, res: isize) {
        // SAFETY: By the type invariant. The submitter accesses none of these fields.
        unsafe {
            (*self.0.as_ptr()).event.res = res as i64;
            DeferringKiocb::end_write((&raw mut (*self.0.as_ptr()).kiocb).cast());
        }
    }

    fn take_rest(&mut self) -> Option<Deferred> {
        // SAFETY: As above.
        unsafe { (*self.0.as_ptr()).rest.take() }
    }

    fn set_rest(&mut self, rest: Deferred) {
        // SAFETY: As above.
        unsafe { (*self.0.as_ptr()).rest = Some(rest) };
    }
}

impl<T: Requests> Drop for Ended<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { Inner::put(self.0) };
    }
}

impl<T: Requests> Inner<T> {
    /// Drops a reference. The last one passes the request to its context. Any context.
    ///
    /// # Safety
    ///
    /// `this` must come from [`Request::issue`], and the reference be the caller's.
    unsafe fn put(this: NonNull<Self>) {
        // SAFETY: By the safety requirements of this function.
        if unsafe { this.as_ref() }.refs.fetch_sub(1, Full) == 1 {
            // INVARIANT: There is no other reference.
            Request(this).deliver();
        }
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
/// If it is dropped, another context finishes it.
///
/// # Invariants
///
/// The pointer comes from a [`Request`] and has the reference of the completion, which belongs to this
/// object. The request has the rest of its completion, and a file.
pub struct Unfinished<T: Requests>(NonNull<Inner<T>>);

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Requests> Send for Unfinished<T> {}

impl<T: Requests> Unfinished<T> {
    /// Returns the context.
    #[inline]
    pub fn context(&self) -> &ContextRef<T> {
        // SAFETY: By the type invariant.
        unsafe { &(*self.0.as_ptr()).context }
    }

    /// Returns whether both requests are for files of the same super block.
    pub fn has_same_super_block(&self, other: &Self) -> bool {
        ptr::eq(self.super_block(), other.super_block())
    }

    fn super_block(&self) -> *const bindings::super_block {
        // SAFETY: By the type invariant the file is open.
        unsafe {
            let file = (*(&raw mut (*self.0.as_ptr()).kiocb).cast::<bindings::kiocb>()).ki_filp;
            (*(*file).f_inode).i_sb
        }
    }

    /// Finishes the completion, in a task that has slept for results. The context gets the request
    /// when it is complete. Sleeps.
    pub fn finish(self, ctx: &MaySleep) {
        // INVARIANT: The reference belongs to the other object, and the kiocb has ended.
        let mut ended = Ended(ManuallyDrop::new(self).0);
        if let Some(rest) = ended.take_rest() {
            let res = rest.run(ctx);
            ended.set_result(res);
        }
    }
}

impl<T: Requests> Drop for Unfinished<T> {
    fn drop(&mut self) {
        // INVARIANT: The reference belongs to the other object, and the kiocb has ended.
        let mut ended = ManuallyDrop::new(Ended(self.0));
        // The reference is that of the completion function again, which the context that gets the
        // rest calls.
        drop(ended.take_rest());
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
