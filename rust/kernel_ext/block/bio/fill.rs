// SPDX-License-Identifier: GPL-2.0

//! Filling bios from I/O vectors.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

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

use super::Opf;
use crate::{
    bindings,
    block::BlockDevice,
    context::MaySleep,
    iov::{
        Keeper,
        RawIovIter, //
    },
};

/// The result of filling a bio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// The iterator is used up.
    All,
    /// The bio is full.
    Full,
    /// The rest of the memory, after what the bio has, cannot be accessed.
    Fault(Error),
}

/// The device's limits for the memory and the length of a bio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaLimits {
    /// The mask of address and length bits that must be zero in each segment.
    pub mask: u32,
    /// The unit of the bio's length in bytes, a power of two.
    pub block: u32,
    /// Whether the device may access memory of another PCI device (P2PDMA).
    pub takes_peer_memory: bool,
}

impl DmaLimits {
    /// Returns the limits of `device`.
    #[inline]
    pub fn of(device: &BlockDevice) -> Self {
        Self {
            mask: device.dma_alignment_mask(),
            block: device.logical_block_size(),
            takes_peer_memory: device.takes_peer_memory(),
        }
    }
}

/// A borrowed bio that is not in flight.
///
/// # Invariants
///
/// - The pointer is an initialized `struct bio` that is exclusively ours for `'a`.
/// - If, and only if, `BIO_PAGE_PINNED` is set, the bio holds a pin on each page of each of its
///   segments.
/// - The other segments are those of an iterator whose memory stays until the request of the
///   [`Keeper`] that [`fill`](Self::fill) was given is completed.
pub(crate) struct BioMut<'a> {
    bio: NonNull<bindings::bio>,
    _p: PhantomData<&'a mut bindings::bio>,
}

impl BioMut<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for `bio`, for a lifetime that the caller chooses.
    #[inline]
    pub(crate) unsafe fn from_raw(bio: NonNull<bindings::bio>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            bio,
            _p: PhantomData,
        }
    }

    fn as_raw(&self) -> *mut bindings::bio {
        self.bio.as_ptr()
    }

    /// Sets where on the device the bio begins, in sectors of 512 bytes.
    #[inline]
    pub(crate) fn set_sector(&mut self, sector: u64) {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).bi_iter.bi_sector = sector };
    }

    /// Sets the I/O priority and the expected lifetime of the data.
    #[inline]
    pub(crate) fn set_hints(&mut self, ioprio: u16, write_hint: bindings::rw_hint) {
        // SAFETY: By the type invariant.
        unsafe {
            (*self.as_raw()).bi_ioprio = ioprio;
            (*self.as_raw()).bi_write_hint = write_hint;
        }
    }

    /// Returns how many bytes the bio will transfer.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).bi_iter.bi_size as usize }
    }

    /// Returns whether the bio is a read.
    #[inline]
    pub(crate) fn is_read(&self) -> bool {
        // SAFETY: By the type invariant.
        let opf = unsafe { (*self.as_raw()).bi_opf };
        opf & bindings::EXT_REQ_OP_MASK == bindings::req_op_REQ_OP_READ
    }

    /// Fills the bio with as much of `iter` as it takes, and advances `iter`. If this succeeds, the
    /// bio has data.
    ///
    /// User memory is pinned. The segments of a bvec iterator are taken as they are, without
    /// copying, if the bio was allocated for 0 segments. All other memory must be kept by the
    /// request of `keeper`.
    ///
    /// May sleep, because user memory may have to be faulted in.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the memory is empty or not aligned, or less than a block is contiguous enough
    ///   for one bio; the direction of `iter` is not that of the bio; its memory is kept by another
    ///   request than `keeper`; or the bio has data already.
    /// - `EFAULT`: the memory cannot be accessed.
    pub(crate) fn fill(
        &mut self,
        iter: &mut RawIovIter<'_>,
        keeper: Keeper,
        limits: DmaLimits,
    ) -> Result<Filled> {
        // SAFETY: By the type invariant.
        let opf = unsafe { (*self.as_raw()).bi_opf };
        // A read into memory of a write would change pages that the user may only read.
        if self.len() != 0
            || iter.is_empty()
            || self.has_flag(BIO_CLONED)
            || iter.is_source() != Opf::is_write_raw(opf)
        {
            return Err(EINVAL);
        }
        let pins = iter.is_user_backed();
        if !pins && iter.keeper() != keeper {
            return Err(EINVAL);
        }
        if iter.is_bvec() {
            return self
                .borrow_segments(iter, limits.mask)
                .map(|()| Filled::All);
        }
        // INVARIANT: The bio has no segments. `iov_iter_extract_bvecs` pins those that it adds if,
        // and only if, the iterator is user backed; the others' memory is kept by `keeper`.
        self.set_pinned(pins);
        let filled = self.extract_all(iter, limits)?;
        if limits.takes_peer_memory && self.len() != 0 {
            // SAFETY: By the type invariant; the bio has segments.
            unsafe { bindings::ext_bio_separate_peer_memory(self.as_raw()) };
        }
        self.trim_to_block(iter, limits.block);
        match filled {
            Filled::Fault(err) if self.len() == 0 => Err(err),
            _ if self.len() == 0 => Err(EINVAL),
            _ => Ok(filled),
        }
    }

    /// Takes the segments of a bvec iterator as they are.
    fn borrow_segments(&mut self, iter: &mut RawIovIter<'_>, mask: u32) -> Result {
        let bio = self.as_raw();
        // SAFETY: By the type invariant.
        if unsafe { (*bio).bi_max_vecs } != 0 {
            return Err(EINVAL);
        }
        // INVARIANT: The caller has compared the keepers.
        // SAFETY: Bio and iterator are valid; the bio has no segments of its own.
        unsafe { bindings::ext_bio_set_iter_bvec(bio, iter.as_raw()) };
        // SAFETY: As above.
        if !unsafe { bindings::ext_bio_iter_bvec_aligned(bio, mask) } {
            // SAFETY: As above. Without a length the bio has no segments.
            unsafe { (*bio).bi_iter.bi_size = 0 };
            return Err(EINVAL);
        }
        iter.advance(self.len());
        Ok(())
    }

    /// Adds segments until the bio is full or the iterator is used up.
    #[inline]
    fn extract_all(&mut self, iter: &mut RawIovIter<'_>, limits: DmaLimits) -> Result<Filled> {
        loop {
            match self.extract(iter, limits) {
                Ok(_) if iter.is_empty() => return Ok(Filled::All),
                // Memory that cannot be in one bio with the segment before it.
                Ok(0) => return Ok(Filled::Full),
                Ok(_) if self.is_full() => return Ok(Filled::Full),
                Ok(_) => (),
                // The request as a whole is invalid, not only the rest of its memory.
                Err(err) if err == EINVAL || self.len() == 0 => {
                    self.clear();
                    return Err(err);
                }
                Err(err) => return Ok(Filled::Fault(err)),
            }
        }
    }

    /// Adds the segments of one extraction from `iter`. Returns their bytes, which may be 0 if the
    /// bio has segments already.
    fn extract(&mut self, iter: &mut RawIovIter<'_>, limits: DmaLimits) -> Result<usize> {
        let bio = self.as_raw();
        let flags = if limits.takes_peer_memory {
            bindings::EXT_ITER_ALLOW_P2PDMA
        } else {
            0
        };
        // SAFETY: By the type invariant; the vector has room for `bi_max_vecs` segments, of which
        // `bi_vcnt` are used. Iterator and bio are exclusively ours.
        let ret = unsafe {
            bindings::iov_iter_extract_bvecs(
                iter.as_raw(),
                (*bio).bi_io_vec,
                (bindings::EXT_BIO_MAX_SIZE - (*bio).bi_iter.bi_size) as usize,
                &raw mut (*bio).bi_vcnt,
                (*bio).bi_max_vecs,
                limits.mask,
                flags,
            )
        };
        if ret < 0 {
            // CAST: An errno.
            return Err(Error::from_errno(ret as i32));
        }
        // SAFETY: By the type invariant. CAST: At most what the maximum left room for.
        unsafe { (*bio).bi_iter.bi_size += ret as u32 };
        // CAST: Not negative.
        Ok(ret as usize)
    }

    #[inline]
    fn is_full(&self) -> bool {
        let bio = self.as_raw();
        // SAFETY: By the type invariant.
        unsafe {
            (*bio).bi_vcnt >= (*bio).bi_max_vecs
                || (*bio).bi_iter.bi_size == bindings::EXT_BIO_MAX_SIZE
        }
    }

    /// Removes all segments.
    fn clear(&mut self) {
        self.release_pages();
        // SAFETY: By the type invariant.
        unsafe {
            (*self.as_raw()).bi_vcnt = 0;
            (*self.as_raw()).bi_iter.bi_size = 0;
        }
    }

    /// Gives back to `iter` what is behind the last whole block.
    #[inline]
    fn trim_to_block(&mut self, iter: &mut RawIovIter<'_>, block: u32) {
        // CAST: Less than a block.
        let excess = (self.len() & (block as usize - 1)) as u32;
        if excess != 0 {
            self.trim(iter, excess);
        }
    }

    #[cold]
    fn trim(&mut self, iter: &mut RawIovIter<'_>, mut excess: u32) {
        // SAFETY: These bytes have been extracted from the iterator.
        unsafe { iter.revert(excess as usize) };
        // SAFETY: By the type invariant. The sum of the segments' lengths is `bi_size`, which is
        // not less than the excess.
        unsafe { (*self.as_raw()).bi_iter.bi_size -= excess };
        while excess > 0 {
            excess -= self.trim_last_segment(excess);
        }
    }

    /// Takes up to `bytes` bytes off the last segment, and the segment away if it becomes empty.
    /// Returns how many bytes.
    fn trim_last_segment(&mut self, bytes: u32) -> u32 {
        let bio = self.as_raw();
        // SAFETY: By the type invariant; `trim` takes no more than the segments have, so there is
        // one.
        let last = unsafe { &mut *(*bio).bi_io_vec.add(usize::from((*bio).bi_vcnt) - 1) };
        let cut = bytes.min(last.bv_len);
        let left = last.bv_len - cut;
        // A segment may have several pages of one folio, each of which has a pin.
        let pages = pages(last.bv_offset, left);
        let unused = self::pages(last.bv_offset, last.bv_len) - pages;
        if unused > 0 && self.is_pinned() {
            // SAFETY: By the type invariant the bio has a pin on each of these pages, which it
            // gives up, because they are no longer a part of the segment.
            unsafe { bindings::ext_unpin_user_pages(last.bv_page.add(pages), unused) };
        }
        last.bv_len = left;
        if left == 0 {
            // SAFETY: By the type invariant.
            unsafe { (*bio).bi_vcnt -= 1 };
        }
        cut
    }

    /// Marks the pages dirty that a read changes.
    ///
    /// Takes folio locks, which may be held for as long as a writeback takes.
    #[inline]
    pub(crate) fn mark_pages_dirty(&mut self, _ctx: &MaySleep) {
        if self.is_pinned() {
            // SAFETY: By the type invariant the pages are there and pinned.
            unsafe { bindings::ext_bio_mark_pages_dirty(self.as_raw()) };
        }
    }

    /// Returns whether all pages that the bio has pinned are dirty.
    #[inline]
    pub(crate) fn pages_dirty(&self) -> bool {
        if !self.is_pinned() {
            return true;
        }
        // SAFETY: By the type invariant the pages are there.
        unsafe { bindings::ext_bio_pages_dirty(self.as_raw()) }
    }

    /// Drops the pins on the pages, once. Any context.
    #[inline]
    pub(crate) fn release_pages(&mut self) {
        if self.is_pinned() {
            // INVARIANT: The pins are dropped.
            self.set_pinned(false);
            // SAFETY: By the type invariant the bio held a pin on each page of its segments.
            unsafe { bindings::__bio_release_pages(self.as_raw(), false) };
        }
    }

    /// Returns whether the bio has pins on its pages.
    #[inline]
    pub(crate) fn is_pinned(&self) -> bool {
        self.has_flag(BIO_PAGE_PINNED)
    }

    #[inline]
    fn has_flag(&self, flag: u32) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).bi_flags & (1 << flag) != 0 }
    }

    #[inline]
    fn set_pinned(&mut self, pinned: bool) {
        // SAFETY: By the type invariant.
        let flags = unsafe { &mut (*self.as_raw()).bi_flags };
        *flags = *flags & !(1 << BIO_PAGE_PINNED) | u16::from(pinned) << BIO_PAGE_PINNED;
    }
}

/// Returns how many pages `len` bytes touch that begin `offset` bytes into a page.
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
        // CAST: Pages are no larger than 64 KiB.
        let page = PAGE_SIZE as u32;
        for (offset, len, expected) in [
            (0, 0, 0),
            (page - 1, 0, 0),
            (0, 1, 1),
            (0, page, 1),
            (0, page + 1, 2),
            (page - 1, 1, 1),
            (page - 1, 2, 2),
            (page / 2, page / 2 + 512, 2),
            (page / 2, page / 2, 1),
            (512, 2 * page, 3),
        ] {
            assert_eq!(pages(offset, len), expected);
        }
    }
}
