// SPDX-License-Identifier: GPL-2.0

//! Root directories of file systems that are being mounted.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    prelude::*,
    sync::Arc, //
};

use crate::{
    bindings,
    fs::{
        file_vtable::FileVTable,
        iomap::AddressSpaceVTable,
        FileOperations, //
    },
};

/// The root directory of a file system that is being mounted.
///
/// # Invariants
///
/// `sb` is valid, not yet active, and has its root. `file_operations` are those of files with data
/// `T`, and stay as long as the module that the super block pins.
pub struct NewRoot<'a, T: FileOperations> {
    sb: NonNull<bindings::super_block>,
    file_operations: &'static bindings::file_operations,
    _p: PhantomData<&'a T>,
}

impl<T: FileOperations> NewRoot<'_, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for these arguments, for a lifetime that the caller chooses.
    pub(super) unsafe fn from_raw(
        sb: NonNull<bindings::super_block>,
        file_operations: &'static bindings::file_operations,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            sb,
            file_operations,
            _p: PhantomData,
        }
    }

    /// Adds a regular file of `size` bytes, all of which have blocks, with data `file`. It belongs
    /// to root, has the permissions `mode`, and stays until the file system is unmounted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn add_file(&mut self, name: &CStr, mode: u16, size: u64, file: Arc<T>) -> Result {
        // SAFETY: By the type invariant.
        let sb = unsafe { self.sb.as_ref() };
        let permissions = u32::from(mode) & bindings::S_IALLUGO;
        // SAFETY: By the type invariant.
        let inode = unsafe { new_inode(self.sb, bindings::S_IFREG | permissions)? };
        // SAFETY: The inode is new, and ours. From here on its eviction drops what it owns.
        unsafe {
            (*inode).i_flags |= bindings::S_NOATIME;
            (*inode).i_private = Arc::into_raw(file).cast_mut().cast();
            (*inode).__bindgen_anon_3.i_fop = self.file_operations;
            (*inode).i_op = &FileVTable::<T>::INODE_OPERATIONS;
            (*inode).i_data.a_ops = &AddressSpaceVTable::<T>::OPERATIONS;
            bindings::ext_mapping_set_large_folios(&raw mut (*inode).i_data);
            bindings::ext_i_size_write(inode, size as bindings::loff_t);
            (*inode).i_blocks = size.div_ceil(512);
            // Writeback skips inodes that are not hashed.
            bindings::__insert_inode_hash(inode, (*inode).i_ino);
        }
        // SAFETY: The root is there; the name is copied.
        let dentry = unsafe { bindings::d_alloc_name(sb.s_root, name.as_char_ptr()) };
        if dentry.is_null() {
            // SAFETY: The reference is ours.
            unsafe { bindings::iput(inode) };
            return Err(ENOMEM);
        }
        // SAFETY: The dentry is new and takes over the reference to the inode. The directory keeps
        // the dentry until it is unmounted; our reference is dropped.
        unsafe {
            bindings::d_make_persistent(dentry, inode);
            bindings::dput(dentry);
        }
        Ok(())
    }
}

/// Makes an inode that belongs to root, with the current time.
///
/// # Errors
///
/// `ENOMEM`.
///
/// # Safety
///
/// `sb` must be valid.
pub(super) unsafe fn new_inode(
    sb: NonNull<bindings::super_block>,
    mode: u32,
) -> Result<*mut bindings::inode> {
    // SAFETY: By the safety requirements of this function.
    let inode = unsafe { bindings::new_inode(sb.as_ptr()) };
    if inode.is_null() {
        return Err(ENOMEM);
    }
    // SAFETY: The inode is new, and ours. CAST: A mode has 16 bits.
    unsafe {
        (*inode).i_ino = bindings::get_next_ino().into();
        (*inode).i_mode = mode as bindings::umode_t;
        bindings::simple_inode_init_ts(inode);
    }
    Ok(inode)
}
