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
    head::DioTarget,
    refs::{
        DioRef,
        LastRef, //
    },
};
use crate::{
    bindings,
    block::bio::BioMut,
    context::{
        InAtomic,
        MaySleep, //
    },
    sync::llist::Node, //
};

/// A target that handles the end of each bio of its requests.
pub trait EndIo: DioTarget {
    /// Called when a bio has ended. Any context: hard interrupts, and with locks of the driver
    /// held.
    fn end_io(bio: EndedBio<Self>, ctx: &InAtomic);
}

/// Submits `bio`, to be passed to [`EndIo::end_io`] with `dio`. May sleep.
///
/// # Safety
///
/// `bio` must be the caller's, have data, and be either the bio of `dio` or one of `fs_bio_set`.
#[inline]
pub(super) unsafe fn submit<T: EndIo>(bio: NonNull<bindings::bio>, dio: DioRef<T>) {
    let bio = bio.as_ptr();
    // SAFETY: The bio is ours until it is submitted.
    unsafe {
        (*bio).bi_private = dio.into_raw();
        (*bio).bi_end_io = Some(end_io::<T>);
        bindings::submit_bio(bio);
    }
}

/// # Safety
///
/// For the block layer to call, at the end of a bio that [`submit`] has submitted.
unsafe extern "C" fn end_io<T: EndIo>(bio: *mut bindings::bio) {
    // SAFETY: The block layer passes a valid bio, and gives it back.
    let (bio, dio) = unsafe { (NonNull::new_unchecked(bio), (*bio).bi_private) };
    // SAFETY: `submit` left it there for this call, which is the only one.
    let dio = unsafe { DioRef::from_raw(dio) };
    // INVARIANT: The bio has ended, and is ours again.
    T::end_io(EndedBio { bio, dio }, &InAtomic::new());
}

/// A bio that has ended, with its reference to the request.
///
/// Dropping it releases its pages and its reference; if that is the last one, the request is
/// dropped, which [`Kiocb`](crate::fs::Kiocb) reports as a bug.
///
/// # Invariants
///
/// `bio` has ended, and is either the bio of `dio` or one of `fs_bio_set` that is ours.
pub struct EndedBio<T: DioTarget> {
    bio: NonNull<bindings::bio>,
    dio: DioRef<T>,
}

impl<T: DioTarget> EndedBio<T> {
    /// Returns the request that the bio is a part of.
    #[inline]
    pub fn dio(&self) -> &DioRef<T> {
        &self.dio
    }

    pub(super) fn as_raw(&self) -> *mut bindings::bio {
        self.bio.as_ptr()
    }

    /// Returns whether the bio is the request's first one.
    #[inline]
    fn is_head(&self) -> bool {
        self.dio.is_bio(self.bio)
    }

    /// Returns the bio's result.
    ///
    /// # Errors
    ///
    /// The error of the device or of the block layer.
    #[inline]
    pub fn result(&self) -> Result {
        // SAFETY: By the type invariant.
        match unsafe { (*self.bio.as_ptr()).bi_status } {
            0 => Ok(()),
            // SAFETY: No requirements.
            status => to_result(unsafe { bindings::blk_status_to_errno(status) }),
        }
    }

    /// Returns whether the bio has read into pages that were written back, and so cleaned, while it
    /// was in flight.
    #[inline]
    pub fn must_redirty(&self) -> bool {
        // SAFETY: By the type invariant; the end of a bio gives its pages back.
        let bio = unsafe { BioMut::from_raw(self.bio) };
        bio.is_read() && !bio.pages_dirty()
    }

    /// Releases the pages, and drops the reference to the request. Any context.
    #[inline]
    pub fn finish(self) -> LastRef<T> {
        let (bio, dio) = self.into_parts();
        // SAFETY: By the type invariant; the end of a bio gives its pages back.
        unsafe { BioMut::from_raw(bio) }.release_pages();
        if !dio.is_bio(bio) {
            // SAFETY: Bios other than the first one are ours.
            unsafe { bindings::bio_put(bio.as_ptr()) };
        }
        dio.put_completer()
    }

    /// Drops the reference to the request, but not the pages: those of the first bio stay with the
    /// request, other bios are passed to `keep`. Any context.
    pub fn finish_with_pages(self, keep: impl FnOnce(&T, RedirtyBio)) -> LastRef<T> {
        let is_head = self.is_head();
        let (bio, dio) = self.into_parts();
        if !is_head {
            // INVARIANT: Bios other than the first one are ours.
            keep(dio.kiocb().target(), RedirtyBio(bio));
        }
        dio.put_completer()
    }

    #[inline]
    fn into_parts(self) -> (NonNull<bindings::bio>, DioRef<T>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: The object is not used or dropped after this.
        (this.bio, unsafe { core::ptr::read(&this.dio) })
    }
}

impl<T: DioTarget> Drop for EndedBio<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the end of a bio gives its pages back.
        unsafe { BioMut::from_raw(self.bio) }.release_pages();
        if !self.is_head() {
            // SAFETY: Bios other than the first one are ours.
            unsafe { bindings::bio_put(self.bio.as_ptr()) };
        }
    }
}

/// A bio of a read that has ended, whose pages have to be marked dirty before they are released.
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
    /// Takes folio locks, which may be held for as long as a writeback takes.
    pub fn redirty(self, ctx: &MaySleep) {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.0) }.mark_pages_dirty(ctx);
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

// SAFETY: The pointer is that of the bio, which is unique to it. The block layer does not use
// `bi_next` of a bio that has ended.
unsafe impl Node for RedirtyBio {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: By the safety requirements of this function it is a valid bio.
        unsafe { (&raw mut (*ptr.cast::<bindings::bio>().as_ptr()).bi_next).cast() }
    }
}
