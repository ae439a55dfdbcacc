// SPDX-License-Identifier: GPL-2.0

//! The bios of a request behind its first one.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

use super::{
    end_io::{
        self,
        EndIo, //
    },
    head::DioTarget,
    refs::SubmitRef, //
};
use crate::{
    bindings,
    block::bio::{
        BioMut,
        DmaLimits,
        Filled,
        Opf,
        MAX_VECS, //
    },
    context::MaySleep,
    fs::iomap::Mappings,
    iov::RawIovIter, //
};

/// A bio without data, for a part of a request that does not fit into the bios before it.
///
/// It borrows the submitter's reference, because what its data is taken from stays as long as the
/// request is in flight.
///
/// # Invariants
///
/// `bio` is a bio of `fs_bio_set` that this object owns, without data.
pub struct NewTail<'a, T: DioTarget> {
    bio: NonNull<bindings::bio>,
    submitter: &'a SubmitRef<T>,
}

impl<'a, T: DioTarget> NewTail<'a, T> {
    /// Allocates a bio of up to `nr_vecs` segments, for the device of `mappings`. Sleeps.
    ///
    /// It does not come from the pool of heads: a request keeps its head until it is done, so
    /// requests that wait for their next bio could have all of the pool.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `mappings` are those of another request.
    /// - `EIO`: the file system has given no device.
    pub fn new(
        submitter: &'a SubmitRef<T>,
        mappings: &Mappings<'_>,
        nr_vecs: u16,
        opf: Opf,
        _ctx: &MaySleep,
    ) -> Result<Self> {
        if mappings.keeper() != submitter.kiocb().keeper() {
            return Err(EINVAL);
        }
        let device = mappings.device()?.as_raw();
        // SAFETY: The file system has the device open as long as the request has a file of it open.
        // `fs_bio_set` was initialized at boot.
        let bio = unsafe {
            bindings::bio_alloc_bioset(
                device,
                nr_vecs.min(MAX_VECS),
                opf.as_raw(),
                bindings::GFP_KERNEL,
                &raw mut bindings::fs_bio_set,
            )
        };
        // SAFETY: With a pool behind it and permission to sleep, the allocation succeeds.
        let bio = unsafe { NonNull::new_unchecked(bio) };
        let (ioprio, write_hint) = submitter.kiocb().hints();
        // SAFETY: It is initialized, without segments, and ours.
        unsafe { BioMut::from_raw(bio) }.set_hints(ioprio, write_hint);
        // INVARIANT: It is new.
        Ok(Self { bio, submitter })
    }

    /// Fills the bio with `len` bytes of zeroes, for `sector` (of 512 bytes) of the device.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the bio was not allocated for as many pages, or `len` is 0.
    pub fn fill_with_zeroes(self, sector: u64, len: u32) -> Result<FilledTail<'a, T>> {
        // SAFETY: By the type invariant.
        let room = unsafe { (*self.bio.as_ptr()).bi_max_vecs };
        // CAST: From 32 bits to 64.
        if len == 0 || (len as usize).div_ceil(PAGE_SIZE) > usize::from(room) {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.bio) }.set_sector(sector);
        // SAFETY: The bio is ours, has no data, and has room for so many pages.
        unsafe { bindings::ext_bio_add_zeroes(self.bio.as_ptr(), len) };
        // INVARIANT: It has data now, in a page that is never freed.
        Ok(FilledTail(self))
    }

    /// Fills the bio, see [`NewDio::fill`](super::NewDio::fill).
    ///
    /// # Errors
    ///
    /// Those of [`NewDio::fill`](super::NewDio::fill).
    pub fn fill(
        self,
        sector: u64,
        iter: &mut RawIovIter<'_>,
        limits: DmaLimits,
        _ctx: &MaySleep,
    ) -> Result<(FilledTail<'a, T>, Filled)> {
        let keeper = self.submitter.kiocb().keeper();
        // SAFETY: By the type invariant.
        let mut bio = unsafe { BioMut::from_raw(self.bio) };
        bio.set_sector(sector);
        let filled = bio.fill(iter, keeper, limits)?;
        // INVARIANT: It has data now, in memory that the request keeps.
        Ok((FilledTail(self), filled))
    }
}

impl<T: DioTarget> Drop for NewTail<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. It may have got data, see `FilledTail`.
        unsafe { BioMut::from_raw(self.bio) }.release_pages();
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::bio_put(self.bio.as_ptr()) };
    }
}

/// As [`NewTail`], but with data.
///
/// # Invariants
///
/// The bio has data, in memory that is pinned, or that the request keeps.
pub struct FilledTail<'a, T: DioTarget>(NewTail<'a, T>);

impl<T: DioTarget> FilledTail<'_, T> {
    /// Returns how many bytes the bio transfers.
    pub fn bytes(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.0.bio) }.len()
    }

    /// Marks the pages dirty that a read changes.
    ///
    /// Takes folio locks, which may be held for as long as a writeback takes.
    pub fn mark_pages_dirty(&mut self, ctx: &MaySleep) {
        // SAFETY: By the type invariant.
        unsafe { BioMut::from_raw(self.0.bio) }.mark_pages_dirty(ctx);
    }
}

impl<T: EndIo> FilledTail<'_, T> {
    /// Submits the bio. May sleep.
    pub fn submit(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: The bio is ours, and has data.
        unsafe { end_io::submit(this.0.bio, this.0.submitter.share()) };
    }
}
