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

    /// Where the number of bytes that are left is, in every kind of iterator.
    #[inline]
    fn count(&self) -> *mut usize {
        // SAFETY: By the type invariant.
        unsafe {
            &raw mut (*self.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .as_mut()
                .count
        }
    }

    /// How many bytes are left.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { *self.count() }
    }

    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn iter_type(&self) -> bindings::iter_type {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).iter_type }.into()
    }

    /// Are there page segments in the iterator that a bio can carry as they are?
    #[inline]
    pub fn is_bvec(&self) -> bool {
        self.iter_type() == bindings::iter_type_ITER_BVEC
    }

    /// Is the memory a user's?
    #[inline]
    pub fn is_user_backed(&self) -> bool {
        matches!(
            self.iter_type(),
            bindings::iter_type_ITER_UBUF | bindings::iter_type_ITER_IOVEC
        )
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
        // CAST: No more than the length.
        let seen = count.min(len as u64) as usize;
        // INVARIANT: What is left describes the beginning of the same memory.
        // SAFETY: By the type invariant.
        unsafe { *self.count() = seen };
        let ret = f(self);
        // INVARIANT: The hidden part is behind what `f` could reach.
        // SAFETY: By the type invariant.
        unsafe { *self.count() += len - seen };
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
    #[inline]
    pub fn nr_segments(&self, max: u16) -> u16 {
        // SAFETY: By the type invariant.
        let pages = unsafe { bindings::iov_iter_npages(self.as_ptr(), max.into()) };
        // CAST: Between 0 and `max`.
        pages as u16
    }
}
