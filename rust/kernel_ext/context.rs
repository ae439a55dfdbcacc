// SPDX-License-Identifier: GPL-2.0

//! Execution contexts as values: atomic, may sleep, may do I/O.
//!
//! A function that sleeps takes a [`MaySleep`], a function that does I/O takes a [`MayIo`]. A
//! completion in an interrupt has neither, so a call from there does not compile. The values have
//! no size. Only this crate makes them, where the kernel calls into a module and the context is
//! known; debugging kernels check the context there. None of them can be stored or sent to another
//! thread.
//!
//! # Examples
//!
//! ```
//! use kernel_ext::context::{MayIo, MaySleep};
//!
//! fn take_a_mutex(_ctx: &MaySleep) {}
//!
//! // What may do I/O may sleep as well.
//! fn flush(io: &MayIo) {
//!     take_a_mutex(io);
//! }
//! ```

use core::ops::Deref;

use kernel::{
    task::might_sleep,
    types::NotThreadSafe, //
};

/// Atomic context: the end of a bio or of a timer, possibly in a hard interrupt or with a lock of
/// the driver held. Code in it must not sleep.
pub struct InAtomic(NotThreadSafe);

impl InAtomic {
    pub(crate) fn new() -> Self {
        Self(NotThreadSafe)
    }
}

/// Context of a task that may sleep and take mutexes, but must not start I/O or wait for I/O that
/// has not been started, because the I/O may itself wait for this task.
pub struct MaySleep(NotThreadSafe);

impl MaySleep {
    /// Creates the value, in a function that the kernel calls in a task.
    #[inline]
    #[track_caller]
    pub(crate) fn new() -> Self {
        might_sleep();
        Self(NotThreadSafe)
    }
}

/// Context of a task that may do anything, I/O included.
pub struct MayIo(MaySleep);

impl MayIo {
    /// Creates the value, in a function that the kernel calls in a task which no other I/O waits
    /// for.
    #[inline]
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self(MaySleep::new())
    }
}

impl Deref for MayIo {
    type Target = MaySleep;

    fn deref(&self) -> &MaySleep {
        &self.0
    }
}
