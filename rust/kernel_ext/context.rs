// SPDX-License-Identifier: GPL-2.0

//! Contexts that code runs in, as values.
//!
//! A function that sleeps takes a [`Task`], one that does I/O an [`Io`], and a completion in an
//! interrupt has neither to give: so it cannot call them, or it does not compile. The values take no
//! room. They are made in this crate only, where the kernel calls into a module and the context is
//! known; there, debugging kernels check it. None of them can be kept, or sent to another thread.

use core::ops::Deref;

use kernel::{
    task::might_sleep,
    types::NotThreadSafe, //
};

/// The end of a bio or a timer: an interrupt, or anything else that is atomic. Must not sleep.
pub struct Irq(NotThreadSafe);

impl Irq {
    pub(crate) fn new() -> Self {
        Self(NotThreadSafe)
    }
}

/// A task that may sleep and take mutexes, but must not start I/O or wait for it: what it does next
/// may be what that I/O waits for.
pub struct Task(NotThreadSafe);

impl Task {
    /// For where the kernel calls in a task.
    #[track_caller]
    pub(crate) fn new() -> Self {
        might_sleep();
        Self(NotThreadSafe)
    }
}

/// A task that may do anything, I/O included.
pub struct Io(Task);

impl Io {
    /// For where the kernel calls in a task that nobody needs for the end of some other I/O.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self(Task::new())
    }
}

impl Deref for Io {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.0
    }
}
