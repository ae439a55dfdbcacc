// SPDX-License-Identifier: GPL-2.0

//! Tasks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::bindings;

/// Is the current task wanted elsewhere, so that it must not spin any longer?
pub fn must_stop_polling() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::rnull_dio_must_stop_polling() }
}

/// Accounts `bytes` that the current task writes to a device past the page cache.
pub fn account_write(bytes: usize) {
    // SAFETY: No requirements.
    unsafe { bindings::rnull_dio_task_io_account_write(bytes) };
}
