// SPDX-License-Identifier: GPL-2.0

//! Requests whose issuer finishes them itself, in a task of its own.
//!
//! When the last bio of a request has ended in an interrupt and something is left to do that sleeps,
//! an issuer of this kind gets the rest of the completion instead of the result, runs it where it
//! can sleep, and has the result then.

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    ffi::c_void,
    types::Opaque, //
};

use super::kiocb::to_ki_result;
use crate::{
    bindings,
    block::bio::{
        BioTarget,
        EndedHead, //
    },
    context::Task,
    sync::llist::Node, //
};

/// The rest of a completion.
///
/// One that is dropped goes to whom the file has for such cases, and the issuer is told the result
/// as if nothing had been handed over.
///
/// # Invariants
///
/// `head` is an [`EndedHead`] that this object owns, of the type that `vtable` is for.
#[must_use = "the issuer has to run what it is handed, or drop it early"]
pub struct Deferred {
    head: NonNull<c_void>,
    vtable: &'static VTable,
}

struct VTable {
    run: unsafe fn(NonNull<c_void>, &Task) -> isize,
    give_back: unsafe fn(NonNull<c_void>),
}

// SAFETY: Requests belong to no thread.
unsafe impl Send for Deferred {}

impl Deferred {
    pub(crate) fn new<T: BioTarget>(head: EndedHead<T>) -> Self {
        // INVARIANT: The head is given up for the pointer.
        Self {
            head: head.into_raw(),
            vtable: const {
                &VTable {
                    run: run::<T>,
                    give_back: give_back::<T>,
                }
            },
        }
    }

    /// Finishes the request. Sleeps.
    ///
    /// Returns what the issuer has to know: bytes, or an errno.
    pub fn run(self, task: &Task) -> isize {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { (this.vtable.run)(this.head, task) }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { (self.vtable.give_back)(self.head) };
    }
}

/// Finishes a request in its issuer's task; the result is the issuer's to have.
///
/// # Safety
///
/// `head` must come from [`EndedHead::<T>::into_raw`](Node::into_raw), and be the caller's.
unsafe fn run<T: BioTarget>(head: NonNull<c_void>, task: &Task) -> isize {
    // SAFETY: Per the function's safety requirements.
    let (kiocb, ret) = T::finish(unsafe { EndedHead::from_raw(head) }, task);
    // The issuer has the request back.
    let _: NonNull<bindings::kiocb> = kiocb.into_raw();
    to_ki_result(ret)
}

/// # Safety
///
/// As for [`run`].
unsafe fn give_back<T: BioTarget>(head: NonNull<c_void>) {
    // SAFETY: Per the function's safety requirements.
    T::refused(unsafe { EndedHead::from_raw(head) });
}

/// What has become of a request.
pub enum Outcome {
    /// It is done: bytes, or an errno.
    Done(isize),
    /// Its issuer has to do the rest.
    Deferred(Deferred),
}

/// A `struct kiocb` of a module's own, of an issuer that defers.
///
/// It is recognised by its completion function alone: whoever copies its flags gets nothing of it.
#[repr(C)]
pub struct DeferringKiocb {
    iocb: Opaque<bindings::kiocb>,
    deferred: UnsafeCell<Option<Deferred>>,
    complete: fn(NonNull<Self>, Outcome),
}

impl DeferringKiocb {
    /// Creates a request for `file`, at `pos` bytes, with `flags` (`IOCB_*`).
    ///
    /// `complete` is called once for a request that was queued, in any context, hard interrupts
    /// included, and must not sleep. The request is the issuer's again.
    ///
    /// # Safety
    ///
    /// `file` must stay valid until the request is complete.
    pub(crate) unsafe fn new(
        file: *mut bindings::file,
        pos: bindings::loff_t,
        flags: i32,
        complete: fn(NonNull<Self>, Outcome),
    ) -> Self {
        let mut iocb: bindings::kiocb = pin_init::zeroed();
        iocb.ki_filp = file;
        iocb.ki_pos = pos;
        iocb.ki_flags = flags;
        iocb.ki_complete = Some(ki_complete);
        Self {
            iocb: Opaque::new(iocb),
            deferred: UnsafeCell::new(None),
            complete,
        }
    }

    /// The C kiocb.
    pub(crate) fn as_ptr(&self) -> *mut bindings::kiocb {
        self.iocb.get()
    }

    /// Is `iocb` the first field of such an object?
    pub(crate) fn is(iocb: &bindings::kiocb) -> bool {
        iocb.ki_complete.map(|f| f as usize) == Some(ki_complete as usize)
    }
}

/// Hands the rest of a completion to the issuer of `iocb`. Any context.
///
/// # Safety
///
/// `iocb` must be that of a [`DeferringKiocb`], whose request `deferred` is.
pub(crate) unsafe fn hand_over(iocb: *mut bindings::kiocb, deferred: Deferred) {
    let this = iocb.cast::<DeferringKiocb>();
    // SAFETY: Per the function's safety requirements. Only who completes the request accesses it.
    unsafe { *(*this).deferred.get() = Some(deferred) };
    // SAFETY: As above; the request is not touched after this.
    unsafe { ki_complete(iocb, 0) };
}

/// The completion function, by whose address the requests are recognised: so there must be one.
///
/// # Safety
///
/// `iocb` must be that of a [`DeferringKiocb`] whose request is complete.
#[inline(never)]
unsafe extern "C" fn ki_complete(iocb: *mut bindings::kiocb, ret: isize) {
    let this = iocb.cast::<DeferringKiocb>();
    // SAFETY: Per the function's safety requirements; whoever completes the request has given up
    // every access to it.
    let (deferred, complete) = unsafe { ((*(*this).deferred.get()).take(), (*this).complete) };
    let outcome = match deferred {
        Some(deferred) => Outcome::Deferred(deferred),
        None => Outcome::Done(ret),
    };
    // SAFETY: The request is not null.
    complete(unsafe { NonNull::new_unchecked(this) }, outcome);
}
