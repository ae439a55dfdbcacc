// SPDX-License-Identifier: GPL-2.0

//! Spin locks that are taken with interrupts disabled.

use kernel::{
    ffi::{
        c_char,
        c_ulong, //
    },
    sync::lock::{
        spinlock::SpinLockBackend,
        Backend,
        Lock, //
    }, //
};

use crate::bindings;

/// A spin lock that can be taken in any context.
pub(crate) type SpinLockIrq<T> = Lock<T, SpinLockIrqBackend>;

/// The lock, and the state of interrupts to return to.
pub(crate) struct SpinLockIrqBackend;

// SAFETY: The lock is that of `SpinLockBackend`, taken with interrupts disabled. `relock` is the
// default, which calls `lock`.
unsafe impl Backend for SpinLockIrqBackend {
    type State = bindings::spinlock_t;
    type GuardState = c_ulong;

    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the safety requirements of this function.
        unsafe { SpinLockBackend::init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> c_ulong {
        // SAFETY: By the safety requirements of this function.
        unsafe { bindings::ext_spin_lock_irqsave(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<c_ulong> {
        let mut flags = 0;
        // SAFETY: By the safety requirements of this function; `flags` is valid for writes.
        unsafe { bindings::ext_spin_trylock_irqsave(ptr, &mut flags) }.then_some(flags)
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, flags: &c_ulong) {
        // SAFETY: By the safety requirements of this function; the flags are those of `lock`.
        unsafe { bindings::ext_spin_unlock_irqrestore(ptr, *flags) }
    }

    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: By the safety requirements of this function.
        unsafe { SpinLockBackend::assert_is_held(ptr) }
    }
}

/// Creates the initializer of a [`SpinLockIrq`].
macro_rules! new_spinlock_irq {
    ($inner:expr) => {
        $crate::compat::sync::SpinLockIrq::new(
            $inner,
            kernel::optional_name!(),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_spinlock_irq;
