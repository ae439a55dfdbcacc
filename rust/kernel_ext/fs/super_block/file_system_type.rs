// SPDX-License-Identifier: GPL-2.0

//! `struct file_system_type`, in a static.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        rcu,
        Arc, //
    },
    types::Opaque, //
};

use crate::bindings;

/// A file system type, to be used in a static: super blocks refer to it as long as they exist, and
/// pin the module, but nothing else; and lockdep wants the keys of their locks in static memory.
///
/// # Invariants
///
/// - `fs_type` lies at the start of the object.
/// - `fs` is null, or came from `Arc::<F>::into_raw`, whose reference this object owns. The
///   reference is dropped at least one RCU grace period after `fs` has become null.
#[repr(C)]
pub struct FileSystemType<F> {
    fs_type: Opaque<bindings::file_system_type>,
    fs: Atomic<*mut F>,
}

// SAFETY: The VFS locks what it changes in the type, and `F` may be used by any thread.
unsafe impl<F: Send + Sync> Sync for FileSystemType<F> {}

impl<F> FileSystemType<F> {
    /// Creates a type that is not registered.
    pub(super) const fn from_raw(fs_type: bindings::file_system_type) -> Self {
        // INVARIANT: There is no `F` yet.
        Self {
            fs_type: Opaque::new(fs_type),
            fs: Atomic::new(core::ptr::null_mut()),
        }
    }

    /// Returns the C pointer.
    pub(super) fn as_raw(&self) -> *mut bindings::file_system_type {
        self.fs_type.get()
    }

    /// Sets the object that mounts file systems of this type.
    ///
    /// # Errors
    ///
    /// `EBUSY` if there is one.
    pub(super) fn set(&self, fs: Arc<F>) -> Result {
        let ptr = Arc::into_raw(fs).cast_mut();
        // INVARIANT: The reference is given up for the pointer.
        if self
            .fs
            .cmpxchg(core::ptr::null_mut(), ptr, ordering::Full)
            .is_ok()
        {
            return Ok(());
        }
        // SAFETY: It came from `into_raw` just now, and was not stored.
        drop(unsafe { Arc::from_raw(ptr) });
        Err(EBUSY)
    }

    /// Removes the object that mounts, and waits for callers of [`get`](Self::get). Sleeps.
    pub(super) fn clear(&self) {
        // INVARIANT: The reference is dropped below.
        let ptr = self.fs.xchg(core::ptr::null_mut(), ordering::Full);
        if ptr.is_null() {
            return;
        }
        // SAFETY: May sleep.
        unsafe { bindings::synchronize_rcu() };
        // SAFETY: By the type invariant. `get` does not find the pointer any more.
        drop(unsafe { Arc::from_raw(ptr) });
    }

    /// Returns the object that mounts, if there is one.
    ///
    /// # Safety
    ///
    /// `fs_type` must be that of a `FileSystemType<F>` in a static.
    pub(super) unsafe fn get(fs_type: *mut bindings::file_system_type) -> Option<Arc<F>> {
        // SAFETY: By the safety requirements of this function and the type invariant.
        let this = unsafe { &*fs_type.cast::<Self>() };
        let _rcu = rcu::read_lock();
        let ptr = this.fs.load(ordering::Acquire);
        if ptr.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the reference is not dropped before the RCU lock is, and
        // it stays with the type.
        let fs = core::mem::ManuallyDrop::new(unsafe { Arc::from_raw(ptr) });
        Some(Arc::clone(&fs))
    }
}
