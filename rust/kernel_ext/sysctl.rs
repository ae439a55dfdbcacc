// SPDX-License-Identifier: GPL-2.0

//! Settings of the kernel, which are files below `/proc/sys`.

use core::ptr::NonNull;

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_int,
    prelude::*, //
};

use crate::{
    bindings,
    context::MayIo, //
};

/// A setting that is a number. Its file is kept open.
///
/// # Invariants
///
/// `file` is an open file that belongs to this object.
pub struct Sysctl(NonNull<bindings::file>);

// SAFETY: An open file belongs to no thread.
unsafe impl Send for Sysctl {}

// SAFETY: Reads at a position are independent of each other.
unsafe impl Sync for Sysctl {}

impl Sysctl {
    /// Opens a file below `/proc/sys`, as the current task sees `path`. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`.
    pub fn open(path: &CStr) -> Result<Self> {
        // SAFETY: The path is a valid string.
        let file = from_err_ptr(unsafe {
            bindings::filp_open(path.as_char_ptr(), bindings::O_RDONLY as c_int, 0)
        })?;
        // INVARIANT: It has just been opened.
        Ok(Self(NonNull::new(file).ok_or(EINVAL)?))
    }

    /// Reads the number, with the rights of the task that opened the file. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: it is no number.
    /// - Those of `read(2)`.
    pub fn read(&self, _io: &MayIo) -> Result<u64> {
        let mut text = [0u8; 24];
        // SAFETY: By the type invariant the file is open; the buffer has this size.
        let len = unsafe {
            bindings::ext_read_as_opener(self.0.as_ptr(), text.as_mut_ptr().cast(), text.len())
        };
        if len < 0 {
            // CAST: It is a negative errno.
            to_result(len as c_int)?;
        }
        let text = text.get(..len as usize).ok_or(EINVAL)?;
        let text = core::str::from_utf8(text).map_err(|_| EINVAL)?;
        text.trim().parse().map_err(|_| EINVAL)
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference is given up.
        unsafe { bindings::fput(self.0.as_ptr()) };
    }
}
