// SPDX-License-Identifier: GPL-2.0

//! Bios, for those who submit them on behalf of a file's requests.
//!
//! One request is one [`kiocb`](crate::fs::kiocb) and one or more bios. The *head* is the first
//! bio; the request's state lies before it in the same allocation. Its states are types:
//!
//! | type | state | owner |
//! |---|---|---|
//! | [`HeadBio`] | nothing submitted | the submitter |
//! | [`SubmitterRef`], [`HeadRef`] | under way, reference counted | the submitter, and each bio |
//! | [`EndedBio`] | one bio has ended | its `end_io` |
//! | [`EndedHead`] | everything ended | whoever holds it |
//!
//! The last reference turns the request into an [`EndedHead`], in one of three hands: the
//! submitter's, if all bios had ended before it was done; the completer's, in the last bio's
//! `end_io`; the waiter's, woken by the completer for an issuer that sleeps.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

mod ended;
mod head;
mod set;
mod tail;

pub use self::{
    ended::{EndedBio, RedirtyBio},
    head::{EndedHead, HeadBio, HeadRef, LastRef, SubmitterRef},
    set::BioSet,
    tail::TailBio, //
};

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings::{
        BIO_CLONED,
        BIO_PAGE_PINNED, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

use crate::{
    bindings,
    block::BlockDevice,
    context::{
        Irq,
        Task, //
    },
    fs::{iomap::Mapping, Kiocb},
    iov::IovIter,
    task_work::Mailboxes, //
};

/// A file whose requests are carried by bios.
pub trait BioTarget: Mapping + Sized + Send + Sync + 'static {
    /// The state of a request.
    type Data: Send + Sync + 'static;

    /// Where the requests of this file are allocated.
    fn bio_set(&self) -> &BioSet<Self>;

    /// Where the data of this file is.
    fn device(&self) -> &BlockDevice;

    /// Called when a bio has ended, in any context: hard interrupts, and with locks of the driver
    /// held, included. Must not sleep.
    fn end_io(bio: EndedBio<Self>, irq: &Irq);

    /// Where requests wait for their issuers' tasks.
    fn mailboxes(&self) -> &Mailboxes<EndedHead<Self>>;

    /// Called for a request that was handed over to its issuer, in a task of the issuer's, to do
    /// what is left.
    ///
    /// Returns the result, for the issuer.
    fn finish(head: EndedHead<Self>, task: &Task) -> (Kiocb<Self>, Result<usize>);

    /// Called for a request that its issuer has been handed, but will not finish because of `err`.
    /// Any context.
    fn refused(head: EndedHead<Self>, err: Error);
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

/// What [`BioMut::add_iter`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The iterator is used up.
    All,
    /// The bio is full.
    Full,
    /// Memory is missing behind what the bio has got.
    Fault(Error),
}

/// A bio that the block layer does not have.
///
/// # Invariants
///
/// The pointer is an initialized `struct bio` that is exclusively ours for `'a`. If, and only if,
/// `BIO_PAGE_PINNED` is set, it holds a pin on each page of each of its segments.
pub struct BioMut<'a> {
    bio: NonNull<bindings::bio>,
    _lifetime: PhantomData<&'a mut bindings::bio>,
}

impl BioMut<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for `bio`, for a lifetime that the caller chooses.
    unsafe fn from_raw(bio: NonNull<bindings::bio>) -> Self {
        // INVARIANT: Per the function's safety requirements.
        Self {
            bio,
            _lifetime: PhantomData,
        }
    }

    fn as_ptr(&self) -> *mut bindings::bio {
        self.bio.as_ptr()
    }

    /// Sets where on the device the bio begins, in sectors of 512 bytes.
    pub fn set_sector(&mut self, sector: u64) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_iter.bi_sector = sector };
    }

    /// Takes over what the request says of its I/O: its priority, and how long its data will live.
    fn set_hints<T: Mapping>(&mut self, kiocb: &Kiocb<T>) {
        let (ioprio, write_hint) = kiocb.hints();
        // SAFETY: By the type invariant.
        unsafe {
            (*self.as_ptr()).bi_ioprio = ioprio;
            (*self.as_ptr()).bi_write_hint = write_hint;
        }
    }

    /// The number of bytes that the bio will transfer.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_iter.bi_size as usize }
    }

    /// Will the bio transfer nothing?
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the bio, which must be empty, with as much of `iter` as it takes, and advances `iter`.
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
    /// - `EINVAL`: memory is not aligned, or less than a block is contiguous enough for one bio;
    ///   or the bio is not empty.
    /// - `EFAULT`: there is no such memory.
    pub fn add_iter(
        &mut self,
        iter: &mut IovIter<'_>,
        dma_mask: u32,
        block: u32,
    ) -> Result<Filled> {
        if !self.is_empty() || self.has_flag(BIO_CLONED) {
            return Err(EINVAL);
        }
        if iter.is_bvec() {
            return self.borrow_segments(iter, dma_mask).map(|()| Filled::All);
        }
        if iter.is_user_backed() {
            // INVARIANT: `iov_iter_extract_bvecs` is about to pin what it adds.
            self.set_flag(BIO_PAGE_PINNED);
        }
        let filled = loop {
            match self.extract(iter, dma_mask) {
                Ok(()) if iter.is_empty() => break Filled::All,
                Ok(()) if self.is_full() => break Filled::Full,
                Ok(()) => (),
                // The whole request is wrong, not only what is behind.
                Err(err) if err == EINVAL || self.is_empty() => {
                    self.empty();
                    return Err(err);
                }
                Err(err) => break Filled::Fault(err),
            }
        };
        self.trim_to_block(iter, block);
        match filled {
            Filled::Fault(err) if self.is_empty() => Err(err),
            _ if self.is_empty() => Err(EINVAL),
            _ => Ok(filled),
        }
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

    /// Drops what the bio has got.
    fn empty(&mut self) {
        self.release_pages();
        // SAFETY: By the type invariant.
        unsafe {
            (*self.as_ptr()).bi_vcnt = 0;
            (*self.as_ptr()).bi_iter.bi_size = 0;
        }
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

    #[inline]
    fn is_full(&self) -> bool {
        let bio = self.as_ptr();
        // SAFETY: By the type invariant.
        unsafe {
            (*bio).bi_vcnt >= (*bio).bi_max_vecs
                || (*bio).bi_iter.bi_size == bindings::EXT_BIO_MAX_SIZE
        }
    }

    /// Gives back to `iter` what is behind the last whole block.
    fn trim_to_block(&mut self, iter: &mut IovIter<'_>, block: u32) {
        // CAST: Less than a block.
        let mut excess = (self.len() & (block as usize - 1)) as u32;
        if excess == 0 {
            return;
        }
        // SAFETY: These bytes have been extracted from the iterator.
        unsafe { iter.revert(excess as usize) };
        // SAFETY: By the type invariant. The sum of the segments' lengths is `bi_size`, which is
        // not less than the excess.
        unsafe { (*self.as_ptr()).bi_iter.bi_size -= excess };
        while excess > 0 {
            excess -= self.trim_last_segment(excess);
        }
    }

    /// Takes up to `bytes` bytes off the last segment, and the segment away if nothing is left of
    /// it. Returns how many.
    fn trim_last_segment(&mut self, bytes: u32) -> u32 {
        let bio = self.as_ptr();
        // SAFETY: By the type invariant; callers see to it that there is a segment.
        let last = unsafe { &mut *(*bio).bi_io_vec.add(usize::from((*bio).bi_vcnt) - 1) };
        let cut = bytes.min(last.bv_len);
        let left = last.bv_len - cut;
        // A segment may have several pages of one folio, each of which has a pin.
        let pages = pages(last.bv_offset, left);
        let unused = self::pages(last.bv_offset, last.bv_len) - pages;
        if unused > 0 && self.has_flag(BIO_PAGE_PINNED) {
            // SAFETY: By the type invariant the bio has a pin on each of these pages, which it
            // gives up: they are no longer a part of the segment.
            unsafe { bindings::rnull_dio_unpin_user_pages(last.bv_page.add(pages), unused) };
        }
        last.bv_len = left;
        if left == 0 {
            // SAFETY: By the type invariant.
            unsafe { (*bio).bi_vcnt -= 1 };
        }
        cut
    }

    /// Marks the pages dirty that a read is going to change behind the back of their owner.
    ///
    /// Takes folio locks, so it sleeps.
    #[inline]
    pub fn mark_pages_dirty(&mut self, _task: &Task) {
        if self.has_flag(BIO_PAGE_PINNED) {
            // SAFETY: By the type invariant the pages are there and pinned.
            unsafe { bindings::rnull_dio_bio_mark_pages_dirty(self.as_ptr()) };
        }
    }

    /// Are all pages that the bio has pinned still dirty?
    #[inline]
    fn pages_dirty(&self) -> bool {
        if !self.has_flag(BIO_PAGE_PINNED) {
            return true;
        }
        // SAFETY: By the type invariant the pages are there.
        unsafe { bindings::rnull_dio_bio_pages_dirty(self.as_ptr()) }
    }

    /// Drops the pins on the pages, once. Any context.
    #[inline]
    fn release_pages(&mut self) {
        if self.has_flag(BIO_PAGE_PINNED) {
            // INVARIANT: The pins are dropped.
            self.clear_flag(BIO_PAGE_PINNED);
            // SAFETY: By the type invariant the bio held a pin on each page of its segments.
            unsafe { bindings::__bio_release_pages(self.as_ptr(), false) };
        }
    }

    #[inline]
    fn has_flag(&self, flag: u32) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags & (1 << flag) != 0 }
    }

    #[inline]
    fn set_flag(&mut self, flag: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags |= 1 << flag };
    }

    #[inline]
    fn clear_flag(&mut self, flag: u32) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).bi_flags &= !(1 << flag) };
    }
}

/// How many pages `len` bytes are a part of that begin `offset` bytes into a page.
fn pages(offset: u32, len: u32) -> usize {
    if len == 0 {
        return 0;
    }
    // CAST: From 32 bits to 64.
    let (offset, len) = (offset as usize, len as usize);
    (offset % PAGE_SIZE + len).div_ceil(PAGE_SIZE)
}

#[kunit_tests(rnull_dio_bio)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_segment() {
        for (offset, len, expected) in [
            (0, 0, 0),
            (4095, 0, 0),
            (0, 1, 1),
            (0, 4096, 1),
            (0, 4097, 2),
            (4095, 1, 1),
            (4095, 2, 2),
            (2048, 3072, 2),
            (2048, 2048, 1),
            (512, 8192, 3),
        ] {
            assert_eq!(pages(offset, len), expected);
        }
    }
}
