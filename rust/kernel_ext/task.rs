// SPDX-License-Identifier: GPL-2.0

//! Tasks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// Accounts `bytes` bytes that the current task writes to a device, not through the page cache.
#[inline]
pub fn account_write(bytes: usize) {
    // SAFETY: No requirements.
    unsafe { bindings::ext_task_io_account_write(bytes) };
}
