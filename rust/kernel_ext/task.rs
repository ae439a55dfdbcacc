// SPDX-License-Identifier: GPL-2.0

//! Tasks.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use kernel::current;

use crate::bindings;

/// Returns whether the current task is a thread of io_uring: a worker of io-wq, or one that polls a
/// submission queue.
#[inline]
pub fn is_io_worker() -> bool {
    let task = current!();
    // SAFETY: The current task is valid, and only the task itself changes this flag.
    unsafe { (*task.as_ptr()).flags & bindings::PF_IO_WORKER != 0 }
}

/// Accounts `bytes` bytes that the current task writes to a device, not through the page cache.
#[inline]
pub fn account_write(bytes: usize) {
    // SAFETY: No requirements.
    unsafe { bindings::ext_task_io_account_write(bytes) };
}

/// The most bytes that the name of a task has, with the NUL behind it.
pub const COMM_LEN: usize = bindings::TASK_COMM_LEN as usize;

/// Returns the name of the current task, followed by NULs.
pub fn comm() -> [u8; COMM_LEN] {
    let mut comm = [0; COMM_LEN];
    // SAFETY: There is room for a name.
    unsafe { bindings::ext_get_task_comm(comm.as_mut_ptr().cast()) };
    comm
}
