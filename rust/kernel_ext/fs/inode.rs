// SPDX-License-Identifier: GPL-2.0

//! Inodes.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use crate::bindings;

/// Returns the data of the file that `inode` belongs to.
///
/// # Safety
///
/// `inode` must be valid for `'a`, and be that of a regular file with data `T`.
#[inline]
pub(crate) unsafe fn data<'a, T>(inode: *mut bindings::inode) -> &'a T {
    // SAFETY: The data is there from before the inode can be found until its eviction.
    unsafe { &*(*inode).i_private.cast::<T>() }
}

/// An inode whose lock, `i_rwsem`, is held for writing by the current task.
///
/// # Invariants
///
/// `inode` is valid for `'a`, and this task holds its lock until this object is dropped.
pub struct LockedInode<'a> {
    inode: NonNull<bindings::inode>,
    _p: PhantomData<(&'a (), *mut ())>,
}

impl LockedInode<'_> {
    /// Takes the lock. May sleep.
    ///
    /// # Safety
    ///
    /// `inode` must be valid for a lifetime that the caller chooses.
    pub(crate) unsafe fn lock(inode: NonNull<bindings::inode>) -> Self {
        // SAFETY: By the safety requirements of this function.
        unsafe { bindings::ext_inode_lock(inode.as_ptr()) };
        // INVARIANT: The lock has just been taken.
        Self {
            inode,
            _p: PhantomData,
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Safety
    ///
    /// As for [`lock`](Self::lock).
    pub(crate) unsafe fn try_lock(inode: NonNull<bindings::inode>) -> Option<Self> {
        // SAFETY: By the safety requirements of this function.
        let taken = unsafe { bindings::ext_inode_trylock(inode.as_ptr()) };
        // INVARIANT: If there is one, the lock has just been taken.
        taken.then(|| Self {
            inode,
            _p: PhantomData,
        })
    }

    /// Returns an object for an inode that the VFS has locked, and will unlock.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, and its lock be held for writing by this task, for a lifetime that
    /// the caller chooses.
    pub(super) unsafe fn locked_by_vfs(inode: NonNull<bindings::inode>) -> ManuallyDrop<Self> {
        // INVARIANT: By the safety requirements of this function.
        ManuallyDrop::new(Self {
            inode,
            _p: PhantomData,
        })
    }

    /// Returns the C pointer.
    pub(crate) fn as_raw(&self) -> *mut bindings::inode {
        self.inode.as_ptr()
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> u64 {
        // SAFETY: By the type invariant. CAST: Sizes are not negative.
        unsafe { bindings::ext_i_size_read(self.as_raw()) as u64 }
    }
}

impl Drop for LockedInode<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_inode_unlock(self.as_raw()) };
    }
}
