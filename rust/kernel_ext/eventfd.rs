// SPDX-License-Identifier: GPL-2.0

//! Event counters that user space waits for.
//!
//! C header: [`include/linux/eventfd.h`](srctree/include/linux/eventfd.h)

use core::ptr::NonNull;

use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

use crate::bindings;

/// A reference to an eventfd.
///
/// # Invariants
///
/// The pointer is a `struct eventfd_ctx`, of which this object owns a reference.
pub struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: An eventfd belongs to no thread.
unsafe impl Send for EventFd {}

// SAFETY: Signals synchronize themselves.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// Looks up a file descriptor of the current task. May sleep.
    ///
    /// # Errors
    ///
    /// - `EBADF`: there is no such file descriptor.
    /// - `EINVAL`: it is not that of an eventfd.
    pub fn fdget(fd: u32) -> Result<Self> {
        // CAST: The kernel looks up any number.
        // SAFETY: No requirements.
        let ctx = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd as i32) })?;
        // INVARIANT: The reference has just been taken.
        Ok(Self(NonNull::new(ctx).ok_or(EINVAL)?))
    }

    /// Counts an event. Any context.
    pub fn signal(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_eventfd_signal(self.0.as_ptr()) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference is given up.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
