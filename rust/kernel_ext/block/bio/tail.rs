// SPDX-License-Identifier: GPL-2.0

//! The bios of a request behind its head.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use super::{
    ended,
    BioMut,
    BioTarget,
    Opf,
    SubmitterRef, //
};
use crate::bindings;

/// A bio that carries a part of a request which does not fit into its head.
///
/// It is tied to the submitter of its request: what its memory was taken from is there as long as
/// that is under way.
///
/// # Invariants
///
/// The pointer is a bio of `fs_bio_set` that this object owns, as [`BioMut`] wants it.
pub struct TailBio<'a, T: BioTarget> {
    bio: NonNull<bindings::bio>,
    submitter: &'a SubmitterRef<T>,
}

impl<'a, T: BioTarget> TailBio<'a, T> {
    /// Allocates a bio of up to `nr_vecs` segments. Sleeps, and never fails.
    ///
    /// Not from the heads' pool: a request holds its head until it is done, so that requests
    /// waiting for their next bio could hold all that is left of the pool.
    pub fn new(submitter: &'a SubmitterRef<T>, nr_vecs: u16, opf: Opf) -> Self {
        let device = submitter.kiocb().target().device();
        // SAFETY: The device is the file's, which the request holds; `fs_bio_set` has been
        // initialized at boot.
        let bio = unsafe {
            bindings::bio_alloc_bioset(
                device.as_ptr(),
                nr_vecs,
                opf.0,
                bindings::GFP_KERNEL,
                &raw mut bindings::fs_bio_set,
            )
        };
        // SAFETY: With a pool behind it and leave to sleep, the allocation does not fail.
        let bio = unsafe { NonNull::new_unchecked(bio) };
        // INVARIANT: It is initialized, without pages, and ours.
        let mut this = Self { bio, submitter };
        this.bio().set_hints(submitter.kiocb());
        this
    }

    /// The bio, to be filled.
    pub fn bio(&mut self) -> BioMut<'_> {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.bio) }
    }

    /// Submits the bio. May sleep.
    pub fn submit(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: The bio is ours, and filled as far as its owner wanted.
        unsafe { ended::submit(this.bio, this.submitter.share()) };
    }
}

impl<T: BioTarget> Drop for TailBio<'_, T> {
    fn drop(&mut self) {
        self.bio().release_pages();
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::bio_put(self.bio.as_ptr()) };
    }
}
