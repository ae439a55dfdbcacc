// SPDX-License-Identifier: GPL-2.0

//! The data of a subsystem.
//!
//! `kernel::configfs` of Linux 7.2 takes the root of a subsystem for a group in it: what it passes to the
//! operations of the root is a reference into the subsystem, but not to its data. It does no harm if the
//! data has no size. So the data of a root is a [`Handle`] of what is elsewhere.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::null_mut, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::{
            Full,
            Relaxed,
            Release, //
        },
        Atomic, //
    }, //
};

/// A type with a place for one value. Implemented by [`placed!`](crate::placed).
///
/// # Safety
///
/// `place()` must always return the same place, which nothing else uses.
pub unsafe trait Placed: Sized + Send + Sync + 'static {
    /// Returns the place.
    fn place() -> &'static Place<Self>;
}

/// Implements [`Placed`] for a type.
#[macro_export]
macro_rules! placed {
    ($type:ty) => {
        // SAFETY: It is the static, which has no name outside of the function.
        unsafe impl $crate::compat::configfs::Placed for $type {
            fn place() -> &'static $crate::compat::configfs::Place<Self> {
                static PLACE: $crate::compat::configfs::Place<$type> =
                    $crate::compat::configfs::Place::new();
                &PLACE
            }
        }
    };
}

/// A place for a value.
///
/// # Invariants
///
/// It is null, or points to the value that the only [`Handle`] of the type owns.
pub struct Place<T>(Atomic<*mut T>);

impl<T> Place<T> {
    /// Creates an empty place.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        // INVARIANT: It is null.
        Self(Atomic::new(null_mut()))
    }
}

/// The owner of the value in the place of `T`. Has no size, so that a reference to it may point anywhere.
///
/// # Invariants
///
/// The place of `T` holds a value that was allocated as a pinned [`KBox`], and no other handle has it.
pub struct Handle<T: Placed>(PhantomData<T>);

impl<T: Placed> Handle<T> {
    /// Puts a value into its place.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is one already.
    /// - Those of `init`, and `ENOMEM`.
    pub fn new(init: impl PinInit<T, Error>) -> Result<Self> {
        let value = KBox::pin_init(init, GFP_KERNEL)?;
        // SAFETY: It stays where it is until it is a pinned `KBox` again.
        let value = KBox::into_raw(unsafe { Pin::into_inner_unchecked(value) });
        // INVARIANT: The handle that is created below owns the value.
        if T::place().0.cmpxchg(null_mut(), value, Full).is_err() {
            // SAFETY: Just made from a pinned `KBox`, and not passed on.
            drop(unsafe { Pin::new_unchecked(KBox::from_raw(value)) });
            return Err(EBUSY);
        }
        // INVARIANT: The place was empty, so that there is no other handle.
        Ok(Self(PhantomData))
    }
}

impl<T: Placed> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariant, the value exists as long as the handle does, and is only shared.
        unsafe { &*T::place().0.load(Relaxed) }
    }
}

impl<T: Placed> Drop for Handle<T> {
    fn drop(&mut self) {
        let value = T::place().0.load(Relaxed);
        // SAFETY: By the type invariant. The handle is going, so that nothing refers to the value.
        drop(unsafe { Pin::new_unchecked(KBox::from_raw(value)) });
        // INVARIANT: No handle is left.
        T::place().0.store(null_mut(), Release);
    }
}
