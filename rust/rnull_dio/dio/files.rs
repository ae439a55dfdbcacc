// SPDX-License-Identifier: GPL-2.0

//! The files whose direct I/O an engine carries out.

use kernel_ext::dio::DioGate;

/// Files whose direct I/O an [`Engine`](super::Engine) carries out: one file, or all of a file
/// system.
pub(crate) trait Files: Sized + Send + Sync + 'static {
    /// Whether a request stays counted in `i_dio_count` until its file system has been told of its
    /// end.
    ///
    /// File systems rely on it that have an `->end_io`, or that wait for the count before they change
    /// blocks. A task may be sleeping in `inode_dio_wait()` for the count of its own request, so
    /// such a request is completed by an interrupt, a waiter, its submitter or a worker: never by a
    /// task that reaps it, and by a task that the request was handed over to only if that sleeps for
    /// results and for nothing else.
    const COUNTED: bool;

    /// The number of workers. Each inode has one of them.
    ///
    /// That two inodes share one cannot make a completion wait for another that waits for it: Linux
    /// may run the completions of a file system one after another, too, in the rescuer of its
    /// workqueue.
    const WORKERS: usize;

    /// Returns the gate that excludes direct I/O, see [`Gated::gate`](kernel_ext::dio::Gated::gate).
    fn gate(&self) -> Option<&DioGate> {
        None
    }

    /// Returns whether a task that polls for a request finds its bio.
    fn may_poll(&self) -> bool {
        true
    }
}
