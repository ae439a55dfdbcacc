// SPDX-License-Identifier: GPL-2.0

//! Completions that a poller collects.

use core::marker::PhantomData;

use kernel::bindings;

/// A batch of polled completions.
///
/// # Invariants
///
/// `self.0` is NULL or points to a `struct io_comp_batch` that nothing else uses for `'a`.
pub struct IoCompBatch<'a>(
    *mut bindings::io_comp_batch,
    PhantomData<&'a mut bindings::io_comp_batch>,
);

impl IoCompBatch<'_> {
    /// # Safety
    ///
    /// `ptr` must be NULL or point to a `struct io_comp_batch` that nothing else uses for the
    /// lifetime of the result.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: *mut bindings::io_comp_batch) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(ptr, PhantomData)
    }

    #[inline]
    pub(super) fn as_raw(&mut self) -> *mut bindings::io_comp_batch {
        self.0
    }
}
