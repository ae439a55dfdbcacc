// SPDX-License-Identifier: GPL-2.0

//! I/O vectors, for those who do not copy their data.
//!
//! C header: [`include/linux/uio.h`](srctree/include/linux/uio.h)

use core::marker::PhantomData;

use kernel::types::Opaque;

use crate::bindings;

/// The memory of one I/O request, as far as it has not been transferred yet.
///
/// Unlike [`kernel::iov`], the memory is not accessed through this type, only handed on to bios.
///
/// # Invariants
///
/// The inner `struct iov_iter` is valid, and the memory it describes stays what it is for `'data`.
#[repr(transparent)]
pub struct IovIter<'data>(Opaque<bindings::iov_iter>, PhantomData<&'data ()>);

impl<'data> IovIter<'data> {
    /// Creates a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a valid `struct iov_iter` that nobody else uses for `'a`, and that
    /// describes memory which is there for `'data`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::iov_iter) -> &'a mut Self {
        // SAFETY: Per the function's safety requirements; the type is transparent.
        unsafe { &mut *ptr.cast() }
    }

    /// Returns the C pointer.
    pub(crate) fn as_ptr(&self) -> *mut bindings::iov_iter {
        self.0.get()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant; the field is set in every kind of iterator.
        unsafe {
            (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .as_ref()
                .count
        }
    }

    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Are there page segments in the iterator that a bio can carry as they are?
    pub fn is_bvec(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_iov_iter_is_bvec(self.as_ptr()) }
    }

    /// Is the memory a user's?
    pub fn is_user_backed(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_iov_iter_is_user(self.as_ptr()) }
    }

    /// Passes over the next `bytes` bytes, or all if there are fewer.
    pub(crate) fn advance(&mut self, bytes: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::iov_iter_advance(self.as_ptr(), bytes) };
    }

    /// Goes back by `bytes` bytes.
    ///
    /// # Safety
    ///
    /// So many bytes must have been passed over.
    pub(crate) unsafe fn revert(&mut self, bytes: usize) {
        // SAFETY: By the type invariant, and per the function's safety requirements.
        unsafe { bindings::iov_iter_revert(self.as_ptr(), bytes) };
    }

    /// Runs `f` on the next `count` bytes alone; what is behind them is there again afterwards.
    pub fn with_limit<R>(&mut self, count: u64, f: impl FnOnce(&mut Self) -> R) -> R {
        let len = self.len();
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_iov_iter_truncate(self.as_ptr(), count) };
        let hidden = len - self.len();
        let ret = f(self);
        // SAFETY: By the type invariant, and the hidden part is behind what `f` could reach.
        unsafe { bindings::rnull_dio_iov_iter_reexpand(self.as_ptr(), self.len() + hidden) };
        ret
    }

    /// Runs `f`, after which no more than `count` bytes have been passed over: what `f` has used
    /// beyond that is given back.
    pub fn with_progress_of<R>(&mut self, count: usize, f: impl FnOnce(&mut Self) -> R) -> R {
        let len = self.len();
        let ret = f(self);
        let used = len - self.len();
        if used > count {
            // SAFETY: `f` has passed over so many bytes.
            unsafe { self.revert(used - count) };
        }
        ret
    }

    /// The number of bio segments that the rest needs, at most `max`.
    pub fn nr_segments(&self, max: u16) -> u16 {
        // SAFETY: By the type invariant.
        let pages = unsafe { bindings::iov_iter_npages(self.as_ptr(), max.into()) };
        // CAST: Between 0 and `max`.
        pages as u16
    }
}
