// SPDX-License-Identifier: GPL-2.0

//! Submission of bios, and their end.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*, //
};

use super::{
    BioMut,
    BioTarget,
    HeadRef,
    LastRef, //
};
use crate::{
    bindings,
    context::{
        Irq,
        Task, //
    },
    sync::llist::Node, //
};

/// Submits `bio` with `head` to be handed to [`BioTarget::end_io`]. May sleep.
///
/// # Safety
///
/// `bio` must be the caller's, and either the bio of `head` or one from `fs_bio_set`.
pub(super) unsafe fn submit<T: BioTarget>(bio: NonNull<bindings::bio>, head: HeadRef<T>) {
    let bio = bio.as_ptr();
    // SAFETY: The bio is ours until it is submitted.
    unsafe {
        (*bio).bi_private = head.into_raw();
        (*bio).bi_end_io = Some(end_io::<T>);
        bindings::submit_bio(bio);
    }
}

/// # Safety
///
/// For the block layer to call, at the end of a bio that [`submit`] has submitted.
unsafe extern "C" fn end_io<T: BioTarget>(bio: *mut bindings::bio) {
    // SAFETY: The block layer passes a valid bio, and gives it back to us.
    let (bio, head) = unsafe { (NonNull::new_unchecked(bio), (*bio).bi_private) };
    // SAFETY: `submit` left it there for this call, which is the only one.
    let head = unsafe { HeadRef::from_raw(head) };
    // INVARIANT: The bio has ended, and is ours again.
    T::end_io(EndedBio { bio, head }, &Irq::new());
}

/// A bio that has ended, with its reference to the request.
///
/// # Invariants
///
/// `bio` has ended, and is either the bio of `head` or one of `fs_bio_set` that is ours.
pub struct EndedBio<T: BioTarget> {
    bio: NonNull<bindings::bio>,
    head: HeadRef<T>,
}

impl<T: BioTarget> EndedBio<T> {
    /// The request that the bio is a part of.
    pub fn head(&self) -> &HeadRef<T> {
        &self.head
    }

    /// Is it the request's first bio?
    pub fn is_head(&self) -> bool {
        self.head.is_bio(self.bio)
    }

    pub(crate) fn as_ptr(&self) -> *mut bindings::bio {
        self.bio.as_ptr()
    }

    /// Has the bio done what it should?
    ///
    /// # Errors
    ///
    /// Whatever the device, or the block layer, answered.
    #[inline]
    pub fn result(&self) -> Result {
        // SAFETY: By the type invariant.
        match unsafe { (*self.bio.as_ptr()).bi_status } {
            0 => Ok(()),
            // SAFETY: No requirements.
            status => to_result(unsafe { bindings::blk_status_to_errno(status) }),
        }
    }

    /// Has the bio read into pages that somebody has written back, and so cleaned, meanwhile?
    pub fn must_redirty(&self) -> bool {
        // SAFETY: By the type invariant.
        let opf = unsafe { (*self.bio.as_ptr()).bi_opf };
        // SAFETY: As above; the end of a bio gives its pages back to us.
        let bio = unsafe { BioMut::from_raw(self.bio) };
        opf & bindings::EXT_REQ_OP_MASK == bindings::req_op_REQ_OP_READ && !bio.pages_dirty()
    }

    /// Releases the pages, and drops the reference to the request.
    pub fn finish(self) -> LastRef<T> {
        // SAFETY: By the type invariant; the end of a bio gives its pages back to us.
        unsafe { BioMut::from_raw(self.bio) }.release_pages();
        self.put()
    }

    /// Drops the reference to the request, and leaves the pages for whoever owns it last: the
    /// head's stay with it, those of other bios are passed to `keep`.
    pub fn finish_without_pages(self, keep: impl FnOnce(&T, RedirtyBio)) -> LastRef<T> {
        if self.is_head() {
            return self.head.put_completer();
        }
        // INVARIANT: Bios other than the head are ours.
        keep(self.head.kiocb().target(), RedirtyBio(self.bio));
        self.head.put_completer()
    }

    fn put(self) -> LastRef<T> {
        if !self.is_head() {
            // SAFETY: Bios other than the head are ours.
            unsafe { bindings::bio_put(self.bio.as_ptr()) };
        }
        self.head.put_completer()
    }
}

/// A read that has ended, whose pages have to be marked dirty again before they are released.
///
/// # Invariants
///
/// The pointer is a bio of `fs_bio_set` that has ended, with its pages, and is ours.
pub struct RedirtyBio(NonNull<bindings::bio>);

// SAFETY: A bio belongs to no thread.
unsafe impl Send for RedirtyBio {}

impl RedirtyBio {
    /// Marks the pages dirty, releases them, and frees the bio.
    ///
    /// Takes folio locks, so it sleeps.
    pub fn redirty(self, task: &Task) {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.0) }.mark_pages_dirty(task);
    }
}

impl Drop for RedirtyBio {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.0) }.release_pages();
        // SAFETY: As above.
        unsafe { bindings::bio_put(self.0.as_ptr()) };
    }
}

// SAFETY: The pointer is that of the bio, which is unique to it; the block layer is done with
// `bi_next` when a bio has ended.
unsafe impl Node for RedirtyBio {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: Per the function's safety requirements.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: Per the function's safety requirements it is a valid bio.
        unsafe { (&raw mut (*ptr.cast::<bindings::bio>().as_ptr()).bi_next).cast() }
    }
}
