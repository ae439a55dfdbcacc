// SPDX-License-Identifier: GPL-2.0

//! Bios, for those who submit them on behalf of a file's requests.
//!
//! One request is one [`kiocb`](crate::fs::kiocb) and one or more bios. The *head* is the first
//! bio; the request's state lies before it in the same allocation. Its states are types:
//!
//! | type | state | owner |
//! |---|---|---|
//! | [`HeadBio`] | not yet submitted, or all bios ended | whoever holds it |
//! | [`HeadRef`] | under way, reference counted | the submitter, and each bio |
//! | [`EndedBio`] | one bio has ended | its `end_io` |
//!
//! The last reference turns the request back into a [`HeadBio`], in one of three hands: the
//! submitter's, if all bios had ended before it was done; the completer's, in the last bio's
//! `end_io`; the waiter's, woken by the completer for an issuer that sleeps.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

mod ended;
mod head;
mod set;

pub use self::{
    ended::{EndedBio, RedirtyBio},
    head::{HeadBio, HeadRef, LastRef},
    set::BioSet, //
};

use core::ptr::NonNull;

use kernel::{
    bindings::BIO_PAGE_PINNED,
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    block::BlockDevice,
    iov::IovIter, //
};

/// A file whose requests are carried by bios.
pub trait BioTarget: Sized + Send + Sync + 'static {
    /// The state of a request.
    type Data: Send + Sync + 'static;

    /// Where the requests of this file are allocated.
    fn bio_set(&self) -> &BioSet<Self>;

    /// Called when a bio has ended, in any context: hard interrupts, and with locks of the driver
    /// held, included. Must not sleep.
    fn end_io(bio: EndedBio<Self>);
}

/// What a bio does, and how: `REQ_OP_*` and `REQ_*`.
#[derive(Clone, Copy)]
pub struct Opf(u32);

impl Opf {
    /// A read.
    pub const READ: Self = Self(bindings::req_op_REQ_OP_READ);
    /// A write for which somebody waits, but no request that could be merged is to be expected.
    pub const WRITE: Self =
        Self(bindings::req_op_REQ_OP_WRITE | bindings::EXT_REQ_SYNC | bindings::EXT_REQ_IDLE);

    /// Written through the device's cache.
    pub const fn fua(self) -> Self {
        Self(self.0 | bindings::EXT_REQ_FUA)
    }

    /// Ends with `EAGAIN` where it would have to sleep.
    pub const fn nowait(self) -> Self {
        Self(self.0 | bindings::EXT_REQ_NOWAIT)
    }
}

/// A bio that has not been submitted.
///
/// # Invariants
///
/// The inner `struct bio` is initialized and exclusively owned. It holds a pin on its pages if and
/// only if `BIO_PAGE_PINNED` is set.
#[repr(transparent)]
pub struct Bio(Opaque<bindings::bio>);

impl Bio {
    /// # Safety
    ///
    /// `ptr` must point to a bio for which the type's invariants hold for `'a`.
    unsafe fn from_raw<'a>(ptr: NonNull<bindings::bio>) -> &'a mut Self {
        // SAFETY: Per the function's safety requirements; the type is transparent.
        unsafe { ptr.cast().as_mut() }
    }

    fn as_ptr(&self) -> *mut bindings::bio {
        self.0.get()
    }

    /// Sets where on the device the bio begins, in sectors of 512 bytes.
    pub fn set_sector(&mut self, sector: u64) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_iter.bi_sector = sector };
    }

    /// Sets the I/O priority.
    pub fn set_ioprio(&mut self, ioprio: u16) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_ioprio = ioprio };
    }

    /// Lets somebody poll for the end of the bio, in place of an interrupt.
    pub fn set_polled(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_opf |= bindings::EXT_REQ_POLLED };
    }

    /// The number of bytes that the bio will transfer.
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_iter.bi_size as usize }
    }

    /// Will the bio transfer nothing?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the bio with as much of `iter` as it takes, and advances `iter`.
    ///
    /// The memory of user-backed iterators is pinned. Segments of a bvec iterator are taken as
    /// they are, without copying, if the bio was allocated for 0 segments; whoever made the
    /// iterator keeps them until completion.
    ///
    /// `dma_mask` is what addresses and lengths of memory must be free of; the bio's length is a
    /// multiple of `block`, a power of two. Faults user memory in, so it sleeps.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: memory is not aligned, or less than a block is contiguous enough for one bio.
    /// - `EFAULT`: there is no such memory.
    pub fn add_iter(&mut self, iter: &mut IovIter<'_>, dma_mask: u32, block: u32) -> Result {
        if iter.is_bvec() {
            return self.borrow_segments(iter, dma_mask);
        }
        if iter.is_user_backed() {
            // INVARIANT: `iov_iter_extract_bvecs` is about to pin what it adds.
            self.set_flag(BIO_PAGE_PINNED);
        }
        loop {
            match self.extract(iter, dma_mask) {
                Ok(()) if iter.is_empty() || self.is_full() => break,
                Ok(()) => (),
                Err(EINVAL) => {
                    // The whole request is wrong, not only what is behind.
                    self.release_pages();
                    return Err(EINVAL);
                }
                Err(err) if self.is_empty() => return Err(err),
                // What is missing will fail in the next bio, where nothing comes before it.
                Err(_) => break,
            }
        }
        self.trim_to_block(iter, block)
    }

    /// Takes the segments of a bvec iterator as they are.
    fn borrow_segments(&mut self, iter: &mut IovIter<'_>, dma_mask: u32) -> Result {
        let bio = self.as_ptr();
        // SAFETY: By the type invariant.
        if unsafe { (*bio).bi_max_vecs } != 0 {
            return Err(EINVAL);
        }
        // SAFETY: Bio and iterator are valid; the bio has no segments of its own.
        unsafe { bindings::rnull_dio_bio_set_iter_bvec(bio, iter.as_ptr()) };
        // SAFETY: As above.
        if !unsafe { bindings::rnull_dio_bio_iter_bvec_aligned(bio, dma_mask) } {
            return Err(EINVAL);
        }
        iter.advance(self.len());
        Ok(())
    }

    /// Adds the segments of one extraction from `iter`.
    fn extract(&mut self, iter: &mut IovIter<'_>, dma_mask: u32) -> Result {
        let bio = self.as_ptr();
        // SAFETY: By the type invariant; the vector has room for `bi_max_vecs` segments, of which
        // `bi_vcnt` are used. Iterator and bio are exclusively ours.
        let ret = unsafe {
            bindings::iov_iter_extract_bvecs(
                iter.as_ptr(),
                (*bio).bi_io_vec,
                (bindings::EXT_BIO_MAX_SIZE - (*bio).bi_iter.bi_size) as usize,
                &raw mut (*bio).bi_vcnt,
                (*bio).bi_max_vecs,
                dma_mask,
                0,
            )
        };
        if ret < 0 {
            // CAST: An errno.
            return Err(Error::from_errno(ret as i32));
        }
        if ret == 0 {
            return Err(EFAULT);
        }
        // SAFETY: By the type invariant. CAST: At most what the maximum left room for.
        unsafe { (*bio).bi_iter.bi_size += ret as u32 };
        Ok(())
    }

    fn is_full(&self) -> bool {
        let bio = self.as_ptr();
        // SAFETY: By the type invariant.
        unsafe {
            (*bio).bi_vcnt >= (*bio).bi_max_vecs
                || (*bio).bi_iter.bi_size >= bindings::EXT_BIO_MAX_SIZE
        }
    }

    /// Gives back to `iter` what is behind the last whole block.
    fn trim_to_block(&mut self, iter: &mut IovIter<'_>, block: u32) -> Result {
        // CAST: Less than a block.
        let mut excess = (self.len() & (block as usize - 1)) as u32;
        if excess == 0 {
            return Ok(());
        }
        // SAFETY: These bytes have been extracted from the iterator.
        unsafe { iter.revert(excess as usize) };
        let bio = self.as_ptr();
        // SAFETY: By the type invariant; the sum of the segments' lengths is `bi_size`, so that
        // the loop ends at the first one at the latest.
        unsafe {
            (*bio).bi_iter.bi_size -= excess;
            loop {
                let last = (*bio).bi_io_vec.add(usize::from((*bio).bi_vcnt) - 1);
                if excess < (*last).bv_len {
                    (*last).bv_len -= excess;
                    return Ok(());
                }
                excess -= (*last).bv_len;
                // A segment shorter than a block lies in one page: one pin.
                self.unpin((*last).bv_page);
                (*bio).bi_vcnt -= 1;
                if (*bio).bi_vcnt == 0 {
                    self.clear_flag(BIO_PAGE_PINNED);
                    return Err(EINVAL);
                }
            }
        }
    }

    /// # Safety
    ///
    /// `page` must be the only page of a segment of this bio that is not used any more.
    unsafe fn unpin(&mut self, page: *mut bindings::page) {
        if self.has_flag(BIO_PAGE_PINNED) {
            // SAFETY: By the type invariant the bio has a pin on it.
            unsafe { bindings::unpin_user_page(page) };
        }
    }

    /// Marks the pages dirty that a read is going to change behind the back of their owner.
    ///
    /// Takes folio locks, so it sleeps.
    pub fn mark_pages_dirty(&mut self) {
        if self.has_flag(BIO_PAGE_PINNED) {
            // SAFETY: By the type invariant the pages are there and pinned.
            unsafe { bindings::rnull_dio_bio_mark_pages_dirty(self.as_ptr()) };
        }
    }

    /// Are all pages that the bio has pinned still dirty?
    fn pages_dirty(&self) -> bool {
        // SAFETY: By the type invariant the pages are there.
        !self.has_flag(BIO_PAGE_PINNED)
            || unsafe { bindings::rnull_dio_bio_pages_dirty(self.as_ptr()) }
    }

    /// Drops the pins on the pages, once. Any context.
    fn release_pages(&mut self) {
        if self.has_flag(BIO_PAGE_PINNED) {
            // INVARIANT: The pins are dropped.
            self.clear_flag(BIO_PAGE_PINNED);
            // SAFETY: By the type invariant the bio held a pin on each page of its segments.
            unsafe { bindings::__bio_release_pages(self.as_ptr(), false) };
        }
    }

    fn has_flag(&self, flag: u32) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags & (1 << flag) != 0 }
    }

    fn set_flag(&mut self, flag: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags |= 1 << flag };
    }

    fn clear_flag(&mut self, flag: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags &= !(1 << flag) };
    }
}

/// A bio that carries a part of a request which does not fit into its head.
///
/// # Invariants
///
/// The pointer is a bio of `fs_bio_set` that this object owns, as [`Bio`] wants it.
pub struct TailBio(NonNull<bindings::bio>);

impl TailBio {
    /// Allocates a bio of up to `nr_vecs` segments. Sleeps, and never fails.
    ///
    /// Not from the heads' pool: a request holds its head until it is done, so that requests
    /// waiting for their next bio could hold all that is left of the pool.
    pub fn new(bdev: &BlockDevice, nr_vecs: u16, opf: Opf) -> Self {
        // SAFETY: The device is valid, and `fs_bio_set` has been initialized at boot.
        let bio = unsafe {
            bindings::bio_alloc_bioset(
                bdev.as_ptr(),
                nr_vecs,
                opf.0,
                bindings::GFP_KERNEL,
                &raw mut bindings::fs_bio_set,
            )
        };
        // SAFETY: With a pool behind it and leave to sleep, the allocation does not fail.
        // INVARIANT: It is initialized, without pages, and ours.
        Self(unsafe { NonNull::new_unchecked(bio) })
    }

    /// The bio, to be filled.
    pub fn bio(&mut self) -> &mut Bio {
        // SAFETY: By the type invariant.
        unsafe { Bio::from_raw(self.0) }
    }

    /// Submits the bio as a part of the request of `head`. May sleep.
    pub fn submit<T: BioTarget>(self, head: HeadRef<T>) {
        let bio = core::mem::ManuallyDrop::new(self).0;
        // SAFETY: The bio is ours, and filled as far as its owner wanted.
        unsafe { ended::submit(bio, head) };
    }
}

impl Drop for TailBio {
    fn drop(&mut self) {
        self.bio().release_pages();
        // SAFETY: By the type invariant the reference is ours.
        unsafe { bindings::bio_put(self.0.as_ptr()) };
    }
}
