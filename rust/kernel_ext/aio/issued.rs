// SPDX-License-Identifier: GPL-2.0

//! Requests that have been issued: the references to them, and their completion.

use core::{
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    container_of,
    sync::atomic::ordering::Full, //
};

use super::{
    completed::Completed,
    context::ContextRef,
    memory::{
        Inner,
        Memory, //
    },
    request::Requests, //
};
use crate::{
    bindings,
    context::MaySleep,
    dio::{
        Deferred,
        DeferringKiocb,
        Outcome, //
    },
    sync::llist::Node, //
};

/// The submitter's reference to a request that has been issued.
///
/// # Invariants
///
/// The pointer comes from [`Memory::into_raw`] and has a reference that belongs to this object.
pub(super) struct Issued<T: Requests>(NonNull<Inner<T>>);

impl<T: Requests> Issued<T> {
    /// Gives a request up for the reference of the submitter. [`kiocb_complete`] has the other one.
    #[inline]
    pub(super) fn new(mut memory: Memory<T>) -> Self {
        *memory.get_mut().refs.get_mut() = 2;
        // INVARIANT: This is one of the two.
        Self(memory.into_raw())
    }

    /// Calls the completion function of a request that was not queued.
    pub(super) fn complete(&self, res: isize) {
        // SAFETY: By the type invariant.
        let kiocb = unsafe { &raw mut (*self.0.as_ptr()).kiocb };
        // SAFETY: It is not at NULL.
        kiocb_complete::<T>(unsafe { NonNull::new_unchecked(kiocb) }, Outcome::Done(res));
    }
}

impl<T: Requests> Drop for Issued<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { put(self.0) };
    }
}

/// The completion's reference to a request.
///
/// # Invariants
///
/// The pointer comes from [`Memory::into_raw`] and has a reference that belongs to this object. The
/// kiocb has ended.
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
        unsafe { put(self.0) };
    }
}

/// Drops a reference of an issued request. The last one passes the request to its context. Any context.
///
/// # Safety
///
/// `inner` must come from [`Issued::new`], and the reference be the caller's.
unsafe fn put<T: Requests>(inner: NonNull<Inner<T>>) {
    // SAFETY: By the safety requirements of this function. Only this field is accessed.
    if unsafe { &(*inner.as_ptr()).refs }.fetch_sub(1, Full) == 1 {
        // SAFETY: There is no other reference.
        deliver(unsafe { Memory::from_raw(inner) });
    }
}

/// A request whose completion has to be finished in a task.
///
/// If it is dropped, another context finishes it.
///
/// # Invariants
///
/// The pointer comes from [`Memory::into_raw`] and has the reference of the completion, which belongs to
/// this object. The request has the rest of its completion, and a file.
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

// SAFETY: The pointer is unique to the reference of the completion, and has the link in it.
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

/// The completion function of the kiocb of a request that was issued.
pub(super) fn kiocb_complete<T: Requests>(kiocb: NonNull<DeferringKiocb>, outcome: Outcome) {
    // SAFETY: The kiocb is that of a request.
    let inner = unsafe { container_of!(kiocb.as_ptr(), Inner<T>, kiocb) };
    // INVARIANT: The request was issued, and the reference of the completion is given up for this
    // call.
    // SAFETY: It is not at NULL.
    let mut ended = Ended(unsafe { NonNull::new_unchecked(inner) });
    match outcome {
        Outcome::Done(res) => ended.set_result(res),
        Outcome::Deferred(deferred) => {
            ended.set_rest(deferred);
            // INVARIANT: It has just been set.
            T::finish_later(Unfinished(ManuallyDrop::new(ended).0));
        }
    }
}

/// Passes a request to its context, with the result that has been set.
pub(super) fn deliver<T: Requests>(mut memory: Memory<T>) {
    // User space may expect that the file is not in use any more when it has the result.
    memory.get_mut().file = None;
    T::complete(Completed(memory));
}
