// SPDX-License-Identifier: GPL-2.0

//! The queues of work items. [`worker`](super::worker) fills and processes them.

use kernel_ext::{
    dio::{
        DioTarget,
        EndedDio,
        RedirtyBio, //
    },
    sync::llist::LockLessList, //
};

/// Requests of an inode whose completion sleeps.
pub(crate) struct WorkerQueue<T: DioTarget> {
    pub(super) ended: LockLessList<EndedDio<T>>,
}

impl<T: DioTarget> WorkerQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            ended: LockLessList::new(),
        }
    }
}

/// Reads with pages to mark dirty.
///
/// The pages are those of the readers' memory, and may belong to any file system. Their locks may be
/// held until a writeback is over that itself waits for a worker, so this has a queue of its own.
pub(crate) struct RedirtyQueue<T: DioTarget> {
    /// Bios of requests that may still be in flight.
    pub(super) bios: LockLessList<RedirtyBio>,
    /// Requests of which all bios have ended.
    pub(super) ended: LockLessList<EndedDio<T>>,
}

impl<T: DioTarget> RedirtyQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            bios: LockLessList::new(),
            ended: LockLessList::new(),
        }
    }
}
