// SPDX-License-Identifier: GPL-2.0

//! Signals of the current task.
//!
//! C header: [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use kernel::{
    current,
    error::to_result,
    prelude::*,
    uaccess::UserPtr, //
};

use crate::bindings;

/// Runs `f` while the task blocks the signals of `mask`, of `size` bytes in user space, in place of
/// those that it blocks. Returns what `f` returns, and whether the task has a signal then. If it has,
/// the other mask stays until the handler of the signal begins.
///
/// # Errors
///
/// - `EINVAL`: `size` is not that of a `sigset_t`.
/// - `EFAULT`.
pub fn with_user_sigmask<R>(
    mask: UserPtr,
    size: usize,
    f: impl FnOnce() -> R,
) -> Result<(R, bool)> {
    // SAFETY: The kernel checks the address. The other mask is restored below, or by the return to
    // user space.
    to_result(unsafe { bindings::ext_set_user_sigmask(mask.as_const_ptr(), size) })?;
    let ret = f();
    let interrupted = current!().signal_pending();
    // SAFETY: It has been set above.
    unsafe { bindings::ext_restore_sigmask(interrupted) };
    Ok((ret, interrupted))
}
