// SPDX-License-Identifier: GPL-2.0

//! Open files of processes.
//!
//! C header: [`include/linux/file.h`](srctree/include/linux/file.h)

use kernel::{
    fs::{
        File,
        LocalFile, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// Returns the file of a file descriptor of the current task, for a system call that does not use
/// the position of a file.
///
/// # Errors
///
/// `EBADF`: there is no such file descriptor.
pub(crate) fn fget(fd: u32) -> Result<ARef<File>> {
    let file = LocalFile::fget(fd).map_err(|_| EBADF)?;
    // SAFETY: The caller is a system call that has not called `fdget_pos()`.
    Ok(unsafe { LocalFile::assume_no_fdget_pos(file) })
}
