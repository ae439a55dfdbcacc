// SPDX-License-Identifier: GPL-2.0

//! Mounts.
//!
//! C header: [`include/linux/mount.h`](srctree/include/linux/mount.h)

use core::ptr::NonNull;

use kernel::{
    error::from_err_ptr,
    ffi::c_char,
    prelude::*, //
};

use crate::bindings;

/// The root of a mount, kept open, so that the file system is not unmounted.
///
/// # Invariants
///
/// `file` is an open file that belongs to this object.
pub struct OpenMount {
    file: NonNull<bindings::file>,
}

// SAFETY: An open file belongs to no thread.
unsafe impl Send for OpenMount {}

// SAFETY: Methods only read what does not change while the file is open.
unsafe impl Sync for OpenMount {}

impl OpenMount {
    /// Opens the root of a mount, as the current task sees `path`. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`; `EXDEV` if `path` is not the root of a mount.
    pub fn open(path: &CStr) -> Result<Self> {
        // SAFETY: The path is a valid string.
        let file = from_err_ptr(unsafe {
            bindings::filp_open(
                path.as_char_ptr(),
                // CAST: Bits of an int.
                (bindings::O_RDONLY | bindings::O_DIRECTORY) as i32,
                0,
            )
        })?;
        // INVARIANT: It has just been opened.
        let this = Self {
            file: NonNull::new(file).ok_or(EINVAL)?,
        };
        // SAFETY: By the type invariant.
        if !unsafe { bindings::ext_file_is_mount_root(file) } {
            return Err(EXDEV);
        }
        Ok(this)
    }

    /// Returns the super block, which is valid as long as this object.
    pub(crate) fn super_block(&self) -> *mut bindings::super_block {
        // SAFETY: By the type invariant the file is valid, and so is its inode.
        unsafe { (*(*self.file.as_ptr()).f_inode).i_sb }
    }

    /// Returns whether nothing can be written by this mount.
    pub fn is_readonly(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_file_is_readonly(self.file.as_ptr()) }
    }

    /// Returns the name of the file system's type, and a name of the file system: mostly that of its
    /// device.
    pub fn names(&self) -> (&CStr, &CStr) {
        let mut names: [*const c_char; 2] = [core::ptr::null(); 2];
        // SAFETY: By the type invariant. The strings lie in the super block and in its type, and end
        // with a NUL.
        unsafe {
            bindings::ext_sb_id(self.file.as_ptr(), &mut names[0], &mut names[1]);
            (CStr::from_char_ptr(names[0]), CStr::from_char_ptr(names[1]))
        }
    }
}

impl Drop for OpenMount {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference is given up.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
