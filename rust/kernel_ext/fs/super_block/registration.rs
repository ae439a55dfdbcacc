// SPDX-License-Identifier: GPL-2.0

//! Registration of file system types.

use core::marker::PhantomData;

use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*,
    sync::Arc, //
};

use super::{
    file_system::FileSystem,
    file_system_type::FileSystemType,
    ops::SuperVTable, //
};
use crate::{
    bindings,
    compat::module::this_module, //
};

impl<F: FileSystem> FileSystemType<F> {
    /// Creates a type that is not registered, for a static.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::prelude::*;
    /// use kernel_ext::fs::super_block::{FileSystem, FileSystemType, Registration};
    ///
    /// fn register<F: FileSystem>(
    ///     fs_type: &'static FileSystemType<F>,
    ///     fs: F,
    /// ) -> Result<Registration<F>> {
    ///     Registration::new(fs_type, fs)
    /// }
    /// ```
    #[expect(
        clippy::new_without_default,
        reason = "a default could not be used for a static"
    )]
    #[expect(clippy::disallowed_methods, reason = "`as_char_ptr` is not const")]
    pub const fn new() -> Self {
        Self::from_raw(bindings::file_system_type {
            name: F::NAME.as_ptr().cast(),
            owner: this_module::<F::Module>().as_ptr(),
            fs_flags: bindings::FS_REQUIRES_DEV as c_int,
            init_fs_context: Some(SuperVTable::<F>::init_fs_context),
            kill_sb: Some(SuperVTable::<F>::kill_sb),
            ..pin_init::zeroed()
        })
    }
}

/// The registration of a file system type. Dropping it ends the registration; file systems that are
/// mounted stay so.
///
/// # Invariants
///
/// `fs_type` is registered.
pub struct Registration<F: FileSystem> {
    fs_type: &'static FileSystemType<F>,
    _p: PhantomData<F>,
}

impl<F: FileSystem> Registration<F> {
    /// Registers a type, with `fs` to mount its file systems. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if there is a file system type of that name.
    pub fn new(fs_type: &'static FileSystemType<F>, fs: F) -> Result<Self> {
        fs_type.set(Arc::new(fs, GFP_KERNEL)?)?;
        // SAFETY: The type is in a static, and so valid as long as the module, which is its owner.
        let ret = to_result(unsafe { bindings::register_filesystem(fs_type.as_raw()) });
        if let Err(err) = ret {
            fs_type.clear();
            return Err(err);
        }
        // INVARIANT: It has just been registered.
        Ok(Self {
            fs_type,
            _p: PhantomData,
        })
    }
}

impl<F: FileSystem> Drop for Registration<F> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. It cannot fail for a type that is registered.
        unsafe { bindings::unregister_filesystem(self.fs_type.as_raw()) };
        self.fs_type.clear();
        // A task that has completed the last request, and by that has allowed the module to be
        // unloaded, may have been preempted before it returned from the module.
        // SAFETY: May sleep.
        unsafe { bindings::ext_synchronize_rcu_tasks() };
    }
}
