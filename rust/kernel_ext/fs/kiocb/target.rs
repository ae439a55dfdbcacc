// SPDX-License-Identifier: GPL-2.0

//! What carries out a request, and whether the request is counted there.

use core::ptr::NonNull;

use crate::percpu_ref::{
    Counted,
    Users, //
};

/// The bit of the address that says that the request is a user.
const USER: usize = 1;

/// A pointer to the target of a request. One word, because requests are moved several times.
///
/// # Invariants
///
/// - Except for the bit [`USER`], the address is that of the target.
/// - If the bit is set, the target comes from [`Counted::inner`], and there is a user of it that is
///   this object's to drop.
pub(super) struct Target<T>(*mut T);

impl<T> Target<T> {
    #[inline]
    pub(super) fn new(target: NonNull<T>) -> Self {
        const { assert!(align_of::<T>() > USER) };
        // INVARIANT: The address is a multiple of the alignment, so the bit is not set.
        Self(target.as_ptr())
    }

    /// Returns the target, which may be gone.
    #[inline]
    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.map_addr(|address| address & !USER)
    }

    /// Counts a user, unless none are let in. Returns whether it did.
    ///
    /// # Safety
    ///
    /// The target must come from [`Counted::inner`] and be valid, and there must be no user yet.
    #[inline]
    pub(super) unsafe fn try_begin_user(&mut self) -> bool {
        // SAFETY: By the safety requirements of this function.
        let begun = unsafe { (*Counted::users_of(self.as_ptr())).tryget() };
        if begun {
            // INVARIANT: The user has just been counted.
            self.0 = self.0.map_addr(|address| address | USER);
        }
        begun
    }

    /// Drops the user, if there is one. The target may be gone afterwards.
    #[inline]
    pub(super) fn end_user(&mut self) {
        if self.is_user() {
            // SAFETY: By the type invariant. The target stays until the user is dropped.
            unsafe { Users::put(Counted::users_of(self.as_ptr())) };
            // INVARIANT: There is no user any more.
            self.0 = self.as_ptr();
        }
    }

    #[inline]
    fn is_user(&self) -> bool {
        self.0.addr() & USER != 0
    }
}
