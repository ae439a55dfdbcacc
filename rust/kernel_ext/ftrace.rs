// SPDX-License-Identifier: GPL-2.0

//! Functions of the kernel that are redirected while it runs.
//!
//! `ftrace` calls a trampoline at the entry of a function. The trampoline returns to the function,
//! which then goes on as if nothing had been; or it returns to the caller of the function, whose
//! result it has.
//!
//! For x86-64 with `CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS`.
//!
//! C header: [`include/linux/ftrace.h`](srctree/include/linux/ftrace.h)

use core::{
    ffi::c_void,
    ptr::NonNull, //
};

use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

use crate::bindings;

/// A redirection of functions, which ends when this is dropped.
///
/// The drop sleeps. Afterwards no task enters the trampoline; tasks that sleep in what it has called
/// may be there still.
///
/// # Invariants
///
/// `ops` was returned by `ext_ftrace_attach` for `trampoline`, and is not detached before the drop.
pub(crate) struct Redirect {
    ops: NonNull<bindings::ftrace_ops>,
    trampoline: *mut c_void,
}

// SAFETY: A redirection belongs to no thread.
unsafe impl Send for Redirect {}

impl Redirect {
    /// Has `trampoline` called at the entry of each of `functions`. Sleeps.
    ///
    /// One redirection of several functions takes as long to remove as one of one function: some RCU
    /// grace periods of tasks, for which all tasks have to sleep or to run in user space.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: this kernel cannot do it.
    /// - `EBUSY`: one of them has been redirected by another user.
    /// - `ENOMEM`.
    ///
    /// # Safety
    ///
    /// These must be the addresses of functions. `trampoline` must be that of code which may be called
    /// at their entries, and which leaves all registers and the stack as the function or its caller
    /// expect them.
    pub(crate) unsafe fn new(functions: &[*mut c_void], trampoline: *mut c_void) -> Result<Self> {
        let count = functions.len().try_into()?;
        // SAFETY: By the safety requirements of this function. The addresses are copied.
        let ops = from_err_ptr(unsafe {
            bindings::ext_ftrace_attach(functions.as_ptr(), count, trampoline)
        })?;
        // INVARIANT: It has just been returned.
        Ok(Self {
            ops: NonNull::new(ops).ok_or(EINVAL)?,
            trampoline,
        })
    }
}

/// Returns the address of a function of the kernel. Sleeps.
///
/// # Errors
///
/// - `EOPNOTSUPP`: this kernel cannot find functions by their names (`CONFIG_KPROBES`).
/// - `ENOENT`: there is no such function.
/// - `ENOMEM`.
pub(crate) fn find_function(name: &CStr) -> Result<*mut c_void> {
    // SAFETY: The name is a valid string.
    from_err_ptr(unsafe { bindings::ext_find_function(name.as_char_ptr()) })
}

impl Drop for Redirect {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_ftrace_detach(self.ops.as_ptr(), self.trampoline) };
    }
}
