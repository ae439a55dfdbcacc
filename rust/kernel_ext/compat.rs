// SPDX-License-Identifier: GPL-2.0

//! What Linux 7.3 has in `kernel`, and earlier kernels lack, at the paths that it has there.
//!
//! Kbuild finds out what the kernel has by trial, see `rust/features/`. Each item is the kernel's own if
//! there is one.

pub mod configfs;

#[cfg(not(ext_has_barrier_orderings))]
pub mod barrier;
#[cfg(not(ext_has_error_codes))]
pub mod error_codes;
#[cfg(not(ext_has_spinlock_irq))]
mod spinlock_irq;

#[cfg(not(ext_has_this_module))]
pub use crate::configfs_attrs;
#[cfg(ext_has_this_module)]
pub use kernel::configfs_attrs;
#[cfg(ext_has_spinlock_irq)]
pub(crate) use kernel::new_spinlock_irq;
#[cfg(not(ext_has_spinlock_irq))]
pub(crate) use spinlock_irq::new_spinlock_irq;

/// Error codes.
pub mod error {
    #[cfg(not(ext_has_error_codes))]
    pub use super::error_codes as code;
    #[cfg(ext_has_error_codes)]
    pub use kernel::error::code;
}

pub(crate) mod module {
    #[cfg(ext_has_this_module)]
    pub(crate) use kernel::module::this_module;

    /// Returns the module that this crate is linked into, which is that of `M`.
    #[cfg(not(ext_has_this_module))]
    pub(crate) const fn this_module<M: kernel::ModuleMetadata>() -> &'static kernel::ThisModule {
        use kernel::{
            types::Opaque,
            ThisModule, //
        };

        extern "C" {
            #[allow(improper_ctypes)]
            static __this_module: Opaque<crate::bindings::module>;
        }

        // SAFETY: Kbuild defines the static in each module.
        const { &unsafe { ThisModule::from_ptr(__this_module.get()) } }
    }
}

pub(crate) mod pin_init {
    #[cfg(ext_has_raw_try_init)]
    pub(crate) use pin_init::raw_try_init;

    /// Initializes `slot`.
    ///
    /// # Safety
    ///
    /// `slot` must point to memory for a `T`, which must not move if this succeeds, and must not be
    /// accessed if it fails.
    #[cfg(not(ext_has_raw_try_init))]
    #[inline(always)]
    pub(crate) unsafe fn raw_try_init<T, E>(
        slot: *mut T,
        init: impl pin_init::PinInit<T, E>,
    ) -> Result<(), E> {
        // SAFETY: By the safety requirements of this function.
        unsafe { init.__pinned_init(slot) }
    }
}

/// Synchronisation.
pub mod sync {
    #[cfg(not(ext_has_spinlock_irq))]
    pub(crate) use super::spinlock_irq::SpinLockIrq;
    #[cfg(ext_has_spinlock_irq)]
    pub(crate) use kernel::sync::SpinLockIrq;

    #[cfg(not(ext_has_barrier_orderings))]
    pub use super::barrier;
    #[cfg(ext_has_barrier_orderings)]
    pub use kernel::sync::barrier;
}

/// `configfs_attrs!` of `kernel`, which expects the module in scope.
#[cfg(not(ext_has_this_module))]
#[allow(clippy::crate_in_macro_def)]
#[macro_export]
macro_rules! configfs_attrs {
    ($($argument:tt)*) => {{
        use crate::THIS_MODULE;

        ::kernel::configfs_attrs! { $($argument)* }
    }};
}
