// SPDX-License-Identifier: GPL-2.0

//! Requests of which nothing has been submitted.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    current,
    prelude::*, //
};

use super::{
    call::DioCall,
    end_io::{
        self,
        EndIo, //
    },
    head::{
        DioTarget,
        Head, //
    },
    kiocb::DioKiocb,
    refs::SubmitRef, //
};
use crate::{
    bindings,
    block::bio::{
        BioMut,
        DmaLimits,
        Filled,
        Opf, //
    },
    context::MaySleep,
    fs::iomap::Mappings,
    iov::RawIovIter, //
};

/// A request that has been allocated, and whose first bio has no data yet.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`] before a bio of a set of `T`, without data. Both are
/// exclusively ours.
pub struct NewDio<T: DioTarget>(NonNull<Head<T>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: DioTarget> Send for NewDio<T> {}

impl<T: DioTarget> NewDio<T> {
    /// Allocates a request whose first bio has up to `nr_vecs` segments, and goes to the device of
    /// `mappings`.
    ///
    /// Sleeps unless `nowait`.
    ///
    /// # Errors
    ///
    /// Returns the kiocb, with
    ///
    /// - `EINVAL`: `call` or `mappings` are those of another request.
    /// - `EIO`: the file system has given no device.
    /// - `EAGAIN`: there is no memory, and the call must not sleep.
    #[inline]
    pub fn new(
        kiocb: DioKiocb<T>,
        call: &DioCall<'_>,
        mappings: &Mappings<'_>,
        nr_vecs: u16,
        opf: Opf,
        nowait: bool,
        state: T::State,
    ) -> Result<Self, (DioKiocb<T>, Error)> {
        if mappings.keeper() != kiocb.keeper() {
            return Err((kiocb, EINVAL));
        }
        let end_io = match call.end_io_of(&kiocb) {
            Ok(end_io) => end_io,
            Err(err) => return Err((kiocb, err)),
        };
        let device = match mappings.device() {
            Ok(device) => device.as_raw(),
            Err(err) => return Err((kiocb, err)),
        };
        // INVARIANT: It is new, and so is its bio.
        // SAFETY: The file system has the device open as long as the request has a file of it open,
        // and `end_io` is that of its call.
        unsafe { Head::new(kiocb, end_io, device, nr_vecs, opf, nowait, state) }
            .map(Self)
            .map_err(|kiocb| (kiocb, EAGAIN))
    }

    /// Fills the first bio with as much of `iter` as it takes, to be transferred to or from
    /// `sector` (of 512 bytes). May sleep, because user memory may have to be faulted in.
    ///
    /// # Errors
    ///
    /// Returns the kiocb, with
    ///
    /// - `EINVAL`: the memory is not aligned as `limits` say, or less than a block is contiguous
    ///   enough for one bio; or `iter` is not that of this request, or has the wrong direction.
    /// - `EFAULT`: the memory cannot be accessed.
    #[inline]
    pub fn fill(
        self,
        sector: u64,
        iter: &mut RawIovIter<'_>,
        limits: DmaLimits,
        _ctx: &MaySleep,
    ) -> Result<(FilledDio<T>, Filled), (DioKiocb<T>, Error)> {
        // SAFETY: By the type invariant.
        let keeper = unsafe { self.0.as_ref() }.kiocb.keeper();
        // SAFETY: By the type invariant the bio is ours, and without data.
        let mut bio = unsafe { BioMut::from_raw(Head::bio(self.0)) };
        bio.set_sector(sector);
        match bio.fill(iter, keeper, limits) {
            // INVARIANT: It has data now, in memory that the request keeps.
            Ok(filled) => Ok((FilledDio(ManuallyDrop::new(self).0), filled)),
            Err(err) => {
                let head = ManuallyDrop::new(self).0;
                // SAFETY: By the type invariant they are ours.
                Err((unsafe { Head::free_unused(head) }, err))
            }
        }
    }
}

impl<T: DioTarget> Drop for NewDio<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant they are ours; the object is not used after this.
        drop(unsafe { Head::free_unused(self.0) });
    }
}

/// A request whose first bio has data, and has not been submitted.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`] before a bio of a set of `T`, with data in memory that is
/// pinned, or that the request keeps. Both are exclusively ours.
pub struct FilledDio<T: DioTarget>(NonNull<Head<T>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: DioTarget> Send for FilledDio<T> {}

impl<T: DioTarget> FilledDio<T> {
    /// Returns the request.
    #[inline]
    pub fn kiocb(&self) -> &DioKiocb<T> {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().kiocb }
    }

    /// Returns the state of the request.
    #[inline]
    pub fn state(&self) -> &T::State {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().state }
    }

    /// Returns the state of the request, which is not shared yet.
    #[inline]
    pub fn state_mut(&mut self) -> &mut T::State {
        // SAFETY: By the type invariant.
        unsafe { &mut self.0.as_mut().state }
    }

    #[inline]
    fn bio(&self) -> BioMut<'_> {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { BioMut::from_raw(Head::bio(self.0)) }
    }

    /// Returns how many bytes the first bio transfers.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bio().len()
    }

    /// Marks the pages dirty that a read changes.
    ///
    /// Takes folio locks, which may be held for as long as a writeback takes.
    #[inline]
    pub fn mark_pages_dirty(&mut self, ctx: &MaySleep) {
        self.bio().mark_pages_dirty(ctx);
    }

    /// Makes the bio a polled one: the issuer polls for its end, in place of an interrupt. Has no
    /// effect if the request comes from the pool's reserve, or if the issuer's write count is not
    /// known.
    #[inline]
    pub fn set_polled(&mut self) {
        // SAFETY: By the type invariant.
        if !unsafe { self.0.as_ref() }.issuer.may_poll() {
            return;
        }
        let bio = Head::bio(self.0);
        // SAFETY: By the type invariant the bio is ours. It is freed by `Head::free` only, which
        // clears it in the kiocb first.
        unsafe {
            (*bio.as_ptr()).bi_opf |= bindings::EXT_REQ_POLLED;
            self.0.as_mut().kiocb.set_polled_bio(bio);
        }
    }

    /// Frees the bio, with the pins on its pages, and returns the request.
    pub fn into_kiocb(self) -> DioKiocb<T> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant they are ours.
        unsafe { Head::free_unused(head) }
    }
}

impl<T: EndIo> FilledDio<T> {
    /// Submits the first bio. The request then is shared: the submitter has the reference that is
    /// returned, and each bio has one. May sleep.
    #[inline]
    pub fn submit(self) -> SubmitRef<T> {
        let sync = self.kiocb().is_sync();
        let mut head = ManuallyDrop::new(self).0;
        if sync {
            // SAFETY: By the type invariant.
            *unsafe { head.as_mut() }.waiter.get_mut() = current!().as_ptr();
        }
        // SAFETY: By the type invariant the head is ours, and given up.
        let (submitter, dio) = unsafe { SubmitRef::first(head) };
        // SAFETY: The bio was ours, and has data.
        unsafe { end_io::submit(Head::bio(head), dio) };
        submitter
    }
}

impl<T: DioTarget> Drop for FilledDio<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant they are ours; the object is not used after this.
        drop(unsafe { Head::free_unused(self.0) });
    }
}
