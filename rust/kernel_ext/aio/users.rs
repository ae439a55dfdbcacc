// SPDX-License-Identifier: GPL-2.0

//! The users of a context: calls and requests.
//!
//! C header: [`include/linux/percpu-refcount.h`](srctree/include/linux/percpu-refcount.h)

use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    context::MaySleep, //
};

/// A count of users. When it has been killed and there are none any more, it drops its reference to
/// the file whose private data it is part of.
///
/// # Invariants
///
/// The inner object is initialized.
#[pin_data(PinnedDrop)]
pub(super) struct Users {
    #[pin]
    inner: Opaque<bindings::ext_aio_users>,
}

// SAFETY: The count belongs to no thread.
unsafe impl Send for Users {}

// SAFETY: The functions that take `&self` synchronize themselves.
unsafe impl Sync for Users {}

impl Users {
    /// Creates a count of no users. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- Opaque::try_ffi_init(|users: *mut bindings::ext_aio_users| {
                // SAFETY: `users` is valid for writes, and does not move.
                to_result(unsafe { bindings::ext_aio_users_init(users) })
            }),
        })
    }

    /// Sets the file.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to the file, and give it up.
    pub(super) unsafe fn set_file(&self, file: *mut bindings::file) {
        // SAFETY: By the type invariant. The field is read after the kill only.
        unsafe { (*self.inner.get()).file = file };
    }

    /// Counts a user, unless [`kill`](Self::kill) has been called. Returns whether it did. Any
    /// context.
    ///
    /// # Safety
    ///
    /// For an RCU read-side critical section.
    #[inline]
    pub(super) unsafe fn tryget_rcu(&self) -> bool {
        // SAFETY: By the type invariant, and the safety requirements of this function.
        unsafe { bindings::ext_aio_users_tryget_rcu(self.inner.get()) }
    }

    /// Counts one more user, for a caller that is one. Any context.
    #[inline]
    pub(super) fn get(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_aio_users_get(self.inner.get()) };
    }

    /// Drops the count of a user. Any context. The object may be freed before this returns.
    ///
    /// # Safety
    ///
    /// The user must have been counted, and not have been dropped.
    #[inline]
    pub(super) unsafe fn put(this: *const Self) {
        // SAFETY: By the safety requirements of this function. The object is there as long as there
        // is a user.
        unsafe { bindings::ext_aio_users_put(Opaque::cast_into(&raw const (*this).inner)) };
    }

    /// Lets no more users in. There are some for an RCU grace period at least.
    ///
    /// # Safety
    ///
    /// This must be the only call, and the file have been set.
    pub(super) unsafe fn kill(&self) {
        // SAFETY: By the type invariant, and the safety requirements of this function.
        unsafe { bindings::ext_aio_users_kill(self.inner.get()) };
    }

    /// Waits until there are no users, after [`kill`](Self::kill). Sleeps.
    pub(super) fn wait(&self, _ctx: &MaySleep) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_aio_users_wait(self.inner.get()) };
    }
}

#[pinned_drop]
impl PinnedDrop for Users {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. There are no users, because they keep what this is in.
        unsafe { bindings::ext_aio_users_exit(self.inner.get()) };
    }
}
