// SPDX-License-Identifier: GPL-2.0

//! Files that requests can refer to, and that have no data.
//!
//! C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use kernel::{
    error::from_err_ptr,
    ffi::c_int,
    prelude::*, //
};

use crate::bindings;

/// Creates a file without operations, for requests to refer to. Sleeps. The caller owns the file.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn anon_file() -> Result<*mut bindings::file> {
    const FILE_OPERATIONS: bindings::file_operations = pin_init::zeroed();

    // SAFETY: The operations are constant and empty.
    from_err_ptr(unsafe {
        bindings::anon_inode_create_getfile(
            c"rnull_dio".as_char_ptr(),
            &FILE_OPERATIONS,
            core::ptr::null_mut(),
            bindings::O_RDWR as c_int,
            core::ptr::null(),
        )
    })
}
