// SPDX-License-Identifier: GPL-2.0

//! Kiocbs of this module, whose issuers run deferred completions.
//!
//! If the last bio of a request ends in an interrupt, and the rest of the completion has to sleep,
//! the issuer's completion function gets a [`Deferred`] in place of the result. The issuer runs it
//! in a task, and has the result then.

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    ffi::c_void,
    types::Opaque, //
};

use crate::{
    bindings,
    context::MaySleep, //
};

/// The rest of a completion, to be [run](Self::run) once.
///
/// Dropping it hands the request to [`HandOver::refused`](super::HandOver::refused); the issuer's
/// completion function gets the result later.
///
/// # Invariants
///
/// `dio` is a request that this object owns, as the functions in `vtable` take it.
#[must_use = "the issuer has to run what it is handed, or drop it early"]
pub struct Deferred {
    dio: NonNull<c_void>,
    vtable: &'static DeferredVTable,
}

/// The functions for a request that was handed over. Each consumes the request.
pub(super) struct DeferredVTable {
    /// Runs the rest of the completion. Returns bytes, or a negative errno.
    pub(super) run: unsafe fn(NonNull<c_void>, &MaySleep) -> isize,
    /// Returns the request to its target, which has another context run it.
    pub(super) refuse: unsafe fn(NonNull<c_void>),
}

// SAFETY: Requests belong to no thread.
unsafe impl Send for Deferred {}

impl Deferred {
    /// # Safety
    ///
    /// `dio` must be owned by the caller, who gives it up, and be what the functions in `vtable`
    /// take.
    pub(super) unsafe fn new(dio: NonNull<c_void>, vtable: &'static DeferredVTable) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self { dio, vtable }
    }

    /// Runs the rest of the completion. Sleeps.
    ///
    /// Returns the result for the issuer: bytes, or a negative errno.
    pub fn run(self, ctx: &MaySleep) -> isize {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { (this.vtable.run)(this.dio, ctx) }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { (self.vtable.refuse)(self.dio) };
    }
}

/// What the completion function of a [`DeferringKiocb`] gets.
///
/// # Examples
///
/// ```
/// use kernel_ext::{context::MaySleep, dio::Outcome};
///
/// /// Returns the result of a request, in a task of its issuer.
/// fn result(outcome: Outcome, ctx: &MaySleep) -> isize {
///     match outcome {
///         Outcome::Done(ret) => ret,
///         Outcome::Deferred(deferred) => deferred.run(ctx),
///     }
/// }
/// ```
pub enum Outcome {
    /// The result: bytes, or a negative errno.
    Done(isize),
    /// The rest of the completion, for the issuer to run.
    Deferred(Deferred),
}

/// A `struct kiocb` of this module, whose issuer runs deferred completions.
///
/// It is recognized by its completion function alone, so a kiocb that a stacked file system makes
/// with the same flags is not taken for one.
#[repr(C)]
pub struct DeferringKiocb {
    iocb: Opaque<bindings::kiocb>,
    deferred: UnsafeCell<Option<Deferred>>,
    /// Whether the kiocb holds a write count of the super block.
    writes: UnsafeCell<bool>,
    waits: bool,
    complete: fn(NonNull<Self>, Outcome),
}

impl DeferringKiocb {
    /// Creates a request for `file`, at `pos` bytes, with `flags` (`IOCB_*`).
    ///
    /// `waits` says that the issuer runs a [`Deferred`] only in a task that sleeps for the results of
    /// requests, and for nothing else, and soon. Requests that are counted are handed over to such
    /// an issuer only, see [`DioTarget::DEFERS`](super::DioTarget::DEFERS).
    ///
    /// `complete` is called once for a request that was queued, in any context, hard interrupts
    /// included, and must not sleep. The request is the issuer's again.
    ///
    /// # Safety
    ///
    /// `file` must stay valid until the request is complete. It and the kiocb must also stay valid
    /// until the function of the file has returned that the request is issued to.
    // Inlined, so that the object is built where it stays.
    #[inline(always)]
    pub(crate) unsafe fn new(
        file: *mut bindings::file,
        pos: bindings::loff_t,
        flags: i32,
        waits: bool,
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
            writes: UnsafeCell::new(false),
            waits,
            complete,
        }
    }

    /// Returns the C kiocb.
    pub(crate) fn as_raw(&self) -> *mut bindings::kiocb {
        self.iocb.get()
    }

    /// Returns whether `iocb` is the first field of such an object.
    #[inline]
    pub(super) fn is(iocb: &bindings::kiocb) -> bool {
        iocb.ki_complete.map(|f| f as usize) == Some(ki_complete as usize)
    }

    /// Returns whether `iocb` is the first field of such an object whose issuer waits.
    #[inline]
    pub(super) fn is_waiting(iocb: &bindings::kiocb) -> bool {
        // SAFETY: It is the first field.
        Self::is(iocb) && unsafe { (*(&raw const *iocb).cast::<Self>()).waits }
    }

    /// Takes a write count of the super block, before the request is issued. Sleeps while the file
    /// system is frozen, unless the request must not sleep. Returns whether the count was taken.
    pub(crate) fn start_write(&mut self) -> bool {
        // SAFETY: The kiocb is valid, and so is its file.
        let taken = unsafe { bindings::ext_kiocb_start_write(self.as_raw()) };
        *self.writes.get_mut() = taken;
        taken
    }

    /// Drops the write count, if it is held. Any context.
    ///
    /// # Safety
    ///
    /// `iocb` must be that of a valid `DeferringKiocb`, to which the caller has exclusive access.
    #[inline]
    pub(crate) unsafe fn end_write(iocb: *mut bindings::kiocb) {
        // SAFETY: By the safety requirements of this function.
        let writes = unsafe { &mut *(*iocb.cast::<Self>()).writes.get() };
        if *writes {
            *writes = false;
            // SAFETY: The count has been taken for this kiocb.
            unsafe { bindings::ext_kiocb_end_write(iocb) };
        }
    }

    /// Hands the rest of a completion to the issuer of `iocb`. Any context.
    ///
    /// # Safety
    ///
    /// `iocb` must be that of a `DeferringKiocb`, and its request be `deferred`.
    pub(super) unsafe fn hand_over(iocb: *mut bindings::kiocb, deferred: Deferred) {
        let this = iocb.cast::<Self>();
        // SAFETY: By the safety requirements of this function. Only the function that completes the
        // request accesses the field.
        unsafe { *(*this).deferred.get() = Some(deferred) };
        // SAFETY: As above; the request is not accessed after this.
        unsafe { ki_complete(iocb, 0) };
    }
}

/// The completion function. Requests are recognized by its address, so the compiler must not inline
/// it.
///
/// # Safety
///
/// `iocb` must be that of a [`DeferringKiocb`] whose request is complete.
#[inline(never)]
unsafe extern "C" fn ki_complete(iocb: *mut bindings::kiocb, ret: isize) {
    let this = iocb.cast::<DeferringKiocb>();
    // SAFETY: By the safety requirements of this function; the caller has given up every access to
    // the request.
    let (deferred, complete) = unsafe { ((*(*this).deferred.get()).take(), (*this).complete) };
    let outcome = match deferred {
        Some(deferred) => Outcome::Deferred(deferred),
        None => Outcome::Done(ret),
    };
    // SAFETY: The request is not at NULL.
    complete(unsafe { NonNull::new_unchecked(this) }, outcome);
}
