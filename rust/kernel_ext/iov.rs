// SPDX-License-Identifier: GPL-2.0

//! I/O vectors of requests whose memory is handed on to bios.
//!
//! C header: [`include/linux/uio.h`](srctree/include/linux/uio.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::prelude::*;

use crate::{
    bindings,
    context::MaySleep, //
};

/// The request that keeps the memory of an iterator: the address of its kiocb.
///
/// Memory that is not a user's has no owner that a bio could pin it by. It stays because the issuer
/// keeps it until the request is completed, and only for this request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeper(pub(crate) *const bindings::kiocb);

/// The memory of an I/O request, as far as it has not been transferred yet.
///
/// Unlike [`kernel::iov`], it does not give access to the memory; bios transfer it.
///
/// # Invariants
///
/// - `iter` is a valid `struct iov_iter` that is exclusively ours for `'a`. No other object with this
///   lifetime exists, because code outside this crate gets each by a reference whose lifetime is one
///   of its own; so objects cannot be swapped.
/// - Memory that is not a user's stays until the kiocb of `keeper` has been completed.
pub struct RawIovIter<'a> {
    iter: NonNull<bindings::iov_iter>,
    keeper: Keeper,
    _p: PhantomData<&'a mut bindings::iov_iter>,
}

impl RawIovIter<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for these arguments, for a lifetime that the caller chooses.
    #[inline]
    pub(crate) unsafe fn from_raw(iter: *mut bindings::iov_iter, keeper: Keeper) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            // SAFETY: A valid iterator is not at NULL.
            iter: unsafe { NonNull::new_unchecked(iter) },
            keeper,
            _p: PhantomData,
        }
    }

    /// Returns the C pointer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::iov_iter {
        self.iter.as_ptr()
    }

    /// Returns the request that keeps the memory.
    #[inline]
    pub(crate) fn keeper(&self) -> Keeper {
        self.keeper
    }

    /// Returns a pointer to the number of bytes that are left, which is in the same place in every
    /// kind of iterator.
    #[inline]
    fn count(&self) -> *mut usize {
        // SAFETY: By the type invariant.
        unsafe {
            &raw mut (*self.as_raw())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .as_mut()
                .count
        }
    }

    /// Returns how many bytes are left.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { *self.count() }
    }

    /// Returns whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether data comes from the memory: whether the request is a write.
    #[inline]
    pub fn is_source(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).data_source }
    }

    fn iter_type(&self) -> bindings::iter_type {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).iter_type }.into()
    }

    /// Returns whether the iterator consists of page segments that a bio can carry as they are.
    #[inline]
    pub fn is_bvec(&self) -> bool {
        self.iter_type() == bindings::iter_type_ITER_BVEC
    }

    /// Returns whether the memory is a user's.
    #[inline]
    pub fn is_user_backed(&self) -> bool {
        matches!(
            self.iter_type(),
            bindings::iter_type_ITER_UBUF | bindings::iter_type_ITER_IOVEC
        )
    }

    /// Returns whether bios can be filled from this kind of memory.
    #[inline]
    pub fn can_fill_bios(&self) -> bool {
        self.is_user_backed() || self.is_bvec() || self.iter_type() == bindings::iter_type_ITER_KVEC
    }

    /// Writes zeroes to the next `bytes` bytes, which are passed over. Returns how many could be
    /// written to. May sleep, because user memory may have to be faulted in.
    ///
    /// # Errors
    ///
    /// `EINVAL` if data comes from the memory.
    pub fn zero(&mut self, bytes: usize, _ctx: &MaySleep) -> Result<usize> {
        if self.is_source() {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant; the memory may be written to.
        Ok(unsafe { bindings::iov_iter_zero(bytes, self.as_raw()) })
    }

    /// Passes over the next `bytes` bytes, or all if there are fewer.
    pub(crate) fn advance(&mut self, bytes: usize) {
        // SAFETY: By the type invariant.
        unsafe { bindings::iov_iter_advance(self.as_raw(), bytes) };
    }

    /// Goes back by `bytes` bytes.
    ///
    /// # Safety
    ///
    /// So many bytes must have been passed over.
    pub(crate) unsafe fn revert(&mut self, bytes: usize) {
        // SAFETY: By the type invariant, and the safety requirements of this function.
        unsafe { bindings::iov_iter_revert(self.as_raw(), bytes) };
    }

    /// Runs `f` on the next `count` bytes alone. What is behind them is there again afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel_ext::iov::RawIovIter;
    ///
    /// /// Returns how many segments the first page of the memory needs.
    /// fn segments_of_a_page(iter: &mut RawIovIter<'_>) -> u16 {
    ///     iter.with_limit(4096, |iter| iter.nr_segments(256))
    /// }
    /// ```
    #[inline]
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

    /// Runs `f`. Gives back what `f` has passed over beyond `count` bytes.
    // Hot path: `f` is large, and its values would be moved.
    #[inline(always)]
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

    /// Runs `f`. Gives back what `f` has passed over if it fails.
    #[inline]
    pub fn try_with<R, E>(
        &mut self,
        f: impl FnOnce(&mut Self) -> core::result::Result<R, E>,
    ) -> core::result::Result<R, E> {
        let len = self.len();
        let ret = f(self);
        if ret.is_err() {
            // SAFETY: `f` has passed over so many bytes.
            unsafe { self.revert(len - self.len()) };
        }
        ret
    }

    /// Returns how many segments of a bio the rest needs, at most `max`.
    #[inline]
    pub fn nr_segments(&self, max: u16) -> u16 {
        // SAFETY: By the type invariant.
        let pages = unsafe { bindings::iov_iter_npages(self.as_raw(), max.into()) };
        // CAST: Between 0 and `max`.
        pages as u16
    }
}
