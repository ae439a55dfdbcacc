// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use crate::bindings;

/// The lock of an inode, `i_rwsem`, held for writing.
///
/// # Invariants
///
/// `inode` is valid for `'a`, and this object holds its lock.
pub(super) struct InodeGuard<'a> {
    inode: NonNull<bindings::inode>,
    _lifetime: PhantomData<&'a ()>,
}

impl InodeGuard<'_> {
    /// Takes the lock. Sleeps.
    ///
    /// # Safety
    ///
    /// `inode` must be valid for `'a`.
    pub(super) unsafe fn lock(inode: NonNull<bindings::inode>) -> Self {
        // SAFETY: Per the function's safety requirements.
        unsafe { bindings::rnull_dio_inode_lock(inode.as_ptr()) };
        // INVARIANT: The lock has just been taken.
        Self {
            inode,
            _lifetime: PhantomData,
        }
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Safety
    ///
    /// As for [`lock`](Self::lock).
    pub(super) unsafe fn try_lock(inode: NonNull<bindings::inode>) -> Option<Self> {
        // SAFETY: Per the function's safety requirements.
        let taken = unsafe { bindings::rnull_dio_inode_trylock(inode.as_ptr()) };
        // INVARIANT: If there is one, the lock has just been taken.
        taken.then(|| Self {
            inode,
            _lifetime: PhantomData,
        })
    }

    /// The size of the file in bytes.
    pub(super) fn size(&self) -> u64 {
        // SAFETY: By the type invariant. CAST: Sizes are not negative.
        unsafe { bindings::rnull_dio_i_size_read(self.inode.as_ptr()) as u64 }
    }
}

impl Drop for InodeGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_inode_unlock(self.inode.as_ptr()) };
    }
}
