// SPDX-License-Identifier: GPL-2.0

//! Counts of users that are cheap to change as long as users are let in.
//!
//! C header: [`include/linux/percpu-refcount.h`](srctree/include/linux/percpu-refcount.h)

use core::ops::Deref;

use kernel::{
    container_of,
    error::to_result,
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    types::Opaque, //
};

use crate::{
    bindings,
    context::MaySleep, //
};

/// An object, and the number of its users. Its drop sleeps until there are none.
#[pin_data]
#[repr(C)]
pub struct Counted<T> {
    // First, so that there are no users when the object is dropped.
    #[pin]
    users: Users,
    #[pin]
    inner: T,
}

impl<T> Counted<T> {
    /// Creates an object without users. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `inner`.
    pub fn new<E>(inner: impl PinInit<T, E>) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        try_pin_init!(Self {
            users <- Users::new(),
            inner <- inner,
        })
    }

    /// Lets no more users in, and waits until there are none. Sleeps.
    pub fn kill(&self, ctx: &MaySleep) {
        self.users.kill(ctx);
    }

    /// Returns the object, as a pointer that [`users_of`](Self::users_of) takes.
    ///
    /// # Safety
    ///
    /// `this` must be valid.
    #[inline]
    pub unsafe fn inner(this: *const Self) -> *const T {
        // SAFETY: By the safety requirements of this function.
        unsafe { &raw const (*this).inner }
    }

    /// Returns the count of the users of an object.
    ///
    /// # Safety
    ///
    /// `inner` must come from [`inner`](Self::inner), for an object that is there.
    #[inline]
    pub(crate) unsafe fn users_of(inner: *const T) -> *const Users {
        // SAFETY: By the safety requirements of this function.
        unsafe { &raw const (*container_of!(inner, Self, inner)).users }
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

/// The number of users of an object. Its drop sleeps until there are none.
///
/// # Invariants
///
/// The inner object is initialized, and `killed` says whether it has been killed.
#[pin_data(PinnedDrop)]
pub(crate) struct Users {
    #[pin]
    inner: Opaque<bindings::ext_users>,
    killed: Atomic<bool>,
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
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- Opaque::try_ffi_init(|users: *mut bindings::ext_users| {
                // SAFETY: `users` is valid for writes, and does not move.
                to_result(unsafe { bindings::ext_users_init(users) })
            }),
            killed: Atomic::new(false),
        })
    }

    /// Counts a user, unless [`kill`](Self::kill) has been called. Returns whether it did. Any
    /// context.
    #[inline]
    pub(crate) fn tryget(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_users_tryget(self.inner.get()) }
    }

    /// Drops the count of a user. Any context. The object may be freed before this returns.
    ///
    /// # Safety
    ///
    /// The user must have been counted, and not have been dropped.
    #[inline]
    pub(crate) unsafe fn put(this: *const Self) {
        // SAFETY: By the safety requirements of this function. The object is there as long as there
        // is a user.
        unsafe { bindings::ext_users_put(Opaque::cast_into(&raw const (*this).inner)) };
    }

    /// Lets no more users in, and waits until there are none. Sleeps.
    fn kill(&self, _ctx: &MaySleep) {
        if !self.killed.xchg(true, ordering::Relaxed) {
            // SAFETY: By the type invariant, and this is the only call.
            unsafe { bindings::ext_users_kill(self.inner.get()) };
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_users_wait(self.inner.get()) };
    }
}

#[pinned_drop]
impl PinnedDrop for Users {
    fn drop(self: Pin<&mut Self>) {
        // The drop of such an object is documented to sleep.
        self.kill(&MaySleep::new());
        // SAFETY: By the type invariant. There are no users, and none is let in.
        unsafe { bindings::ext_users_exit(self.inner.get()) };
    }
}
