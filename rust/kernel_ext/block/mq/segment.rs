// SPDX-License-Identifier: GPL-2.0

//! The memory of a request.
//!
//! C headers: [`include/linux/bvec.h`](srctree/include/linux/bvec.h),
//! [`include/linux/bio.h`](srctree/include/linux/bio.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

use crate::{
    bindings,
    page_map::{
        check_bounds,
        MappedPage, //
    }, //
};

use super::bvec_iter::{
    offset,
    set_offset, //
};

/// Memory that is read: that of a write.
pub enum Source {}

/// Memory that is written: that of a read.
pub enum Dest {}

/// An iterator over the memory of a request, in pieces that are within a page each.
///
/// # Invariants
///
/// - `self.bio` is NULL or points to a bio that has data, linked to others of the kind by
///   `bi_next`; all of them and their memory are valid for `'a`, and may be written to if `D` is
///   [`Dest`].
/// - `self.iter` is within the bio, if there is one.
pub struct Segments<'a, D> {
    bio: *const bindings::bio,
    iter: bindings::bvec_iter,
    _p: PhantomData<&'a D>,
}

/// Memory within a page.
///
/// The process that the page belongs to may change its contents at any time, so that they can only
/// be copied: there is no reference to them.
///
/// # Invariants
///
/// `self.offset + self.len <= PAGE_SIZE`, and `self.page` is a page that is valid for `'a` and, if
/// `D` is [`Dest`], may be written to in that range.
pub struct Segment<'a, D> {
    page: NonNull<bindings::page>,
    offset: usize,
    len: usize,
    _p: PhantomData<&'a D>,
}

impl<D> Segments<'_, D> {
    /// # Safety
    ///
    /// The first type invariant must hold for `bio`.
    #[inline]
    pub(super) unsafe fn new(bio: *const bindings::bio) -> Self {
        // INVARIANT: By the safety requirements, and `load()` takes the iterator of the bio.
        let mut this = Self {
            bio,
            iter: bindings::bvec_iter::default(),
            _p: PhantomData,
        };
        this.load();
        this
    }

    #[inline]
    fn load(&mut self) {
        if !self.bio.is_null() {
            // SAFETY: By the type invariant.
            self.iter = unsafe { (*self.bio).bi_iter };
        }
    }

    /// Returns the rest of the current vector, which may be longer than the rest of the bio.
    ///
    /// # Safety
    ///
    /// `self.bio` must not be NULL, and `self.iter.bi_size` must not be 0.
    #[inline]
    unsafe fn vector(&self) -> (NonNull<bindings::page>, usize, usize) {
        // SAFETY: By the type invariant, and there are bytes left, so the index is in bounds.
        let vec = unsafe { &*(*self.bio).bi_io_vec.add(self.iter.bi_idx as usize) };
        let done = offset(&self.iter);
        // SAFETY: The vector of a bio with data has a page.
        let page = unsafe { NonNull::new_unchecked(vec.bv_page) };
        (
            page,
            (vec.bv_offset + done) as usize,
            (vec.bv_len - done) as usize,
        )
    }

    /// # Safety
    ///
    /// `len` must be at most the rest of the vector, `rest`, and that of the bio.
    #[inline]
    unsafe fn advance(&mut self, len: usize, rest: usize) {
        // CAST: Both were made from 32 bits.
        self.iter.bi_size -= len as u32;
        if len == rest {
            // INVARIANT: The next vector, unless there are no more bytes.
            self.iter.bi_idx += 1;
            set_offset(&mut self.iter, 0);
        } else {
            let done = offset(&self.iter) + len as u32;
            set_offset(&mut self.iter, done);
        }
    }
}

impl<'a, D> Segments<'a, D> {
    /// Iterates over the first `bytes` only.
    pub fn up_to(self, bytes: usize) -> impl Iterator<Item = Segment<'a, D>> {
        let mut left = bytes;
        self.map_while(move |mut segment| {
            if left == 0 {
                return None;
            }
            // INVARIANT: Not more than before.
            segment.len = segment.len.min(left);
            left -= segment.len;
            Some(segment)
        })
    }
}

impl<'a, D> Iterator for Segments<'a, D> {
    type Item = Segment<'a, D>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.iter.bi_size == 0 {
            if self.bio.is_null() {
                return None;
            }
            // SAFETY: By the type invariant.
            self.bio = unsafe { (*self.bio).bi_next };
            self.load();
        }
        // SAFETY: Bytes are left, so there is a bio.
        let (page, offset, rest) = unsafe { self.vector() };
        let within = offset % PAGE_SIZE;
        let len = rest.min(self.iter.bi_size as usize).min(PAGE_SIZE - within);
        // SAFETY: At most the rest of both.
        unsafe { self.advance(len, rest) };
        // SAFETY: The pages of a vector are adjacent, and so are their `struct page`s.
        let page = unsafe { page.add(offset / PAGE_SIZE) };
        // INVARIANT: `len` is at most what is left of the page, and by the type invariant of `self`
        // the memory may be used.
        Some(Segment {
            page,
            offset: within,
            len,
            _p: PhantomData,
        })
    }
}

impl<D> Segment<'_, D> {
    /// Returns the length in bytes: not 0, at most [`PAGE_SIZE`].
    #[expect(clippy::len_without_is_empty)]
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
}

impl Segment<'_, Source> {
    /// Copies `len` bytes at `at` of the segment to `offset` of a page.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if either range is out of bounds.
    #[inline]
    pub fn copy_to(&self, at: usize, page: &MappedPage<'_>, offset: usize, len: usize) -> Result {
        check_bounds(at, len, self.len)?;
        check_bounds(offset, len, PAGE_SIZE)?;
        // SAFETY: Both ranges are within pages that are there, by the type invariants. A race with
        // other copies is one between C functions on plain memory, and meant to be allowed.
        unsafe {
            bindings::ext_memcpy_page(
                page.as_raw(),
                offset,
                self.page.as_ptr(),
                self.offset + at,
                len,
            )
        };
        Ok(())
    }
}

impl Segment<'_, Dest> {
    /// Copies `len` bytes at `offset` of a page to `at` of the segment.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if either range is out of bounds.
    #[inline]
    pub fn copy_from(&self, at: usize, page: &MappedPage<'_>, offset: usize, len: usize) -> Result {
        check_bounds(at, len, self.len)?;
        check_bounds(offset, len, PAGE_SIZE)?;
        // SAFETY: As in `copy_to()`, and the memory of the segment may be written to.
        unsafe {
            bindings::ext_memcpy_page(
                self.page.as_ptr(),
                self.offset + at,
                page.as_raw(),
                offset,
                len,
            )
        };
        Ok(())
    }

    /// Writes `len` bytes of zeroes at `at` of the segment.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is out of bounds.
    #[inline]
    pub fn zero(&self, at: usize, len: usize) -> Result {
        check_bounds(at, len, self.len)?;
        // SAFETY: Within the page, which is there and may be written to, by the type invariant.
        unsafe { bindings::ext_memzero_page(self.page.as_ptr(), self.offset + at, len) };
        Ok(())
    }
}
