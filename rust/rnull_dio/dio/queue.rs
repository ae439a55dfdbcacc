// SPDX-License-Identifier: GPL-2.0

//! The queues of work items. Modules `worker` and `redirty` fill and process them.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use kernel_ext::{
    dio::{
        DioTarget,
        EndedDio,
        RedirtyBio, //
    },
    sync::llist::LockLessList, //
};

use super::flush_group::FlushGroup;

/// Requests of some inodes whose completion waits for the worker. Writes that are in the queue
/// together share a sync of their file, and a call of their file system.
#[pin_data]
pub(crate) struct WorkerQueue<T: DioTarget> {
    pub(super) ended: LockLessList<EndedDio<T>>,
    #[pin]
    pub(super) group: FlushGroup,
    pub(super) pattern: Pattern,
}

impl<T: DioTarget> WorkerQueue<T> {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ended: LockLessList::new(),
            group <- FlushGroup::new(),
            pattern: Pattern::new(),
        })
    }
}

/// Whether the writes of a worker that change blocks follow one another in their file. Only the
/// worker changes it.
pub(super) struct Pattern {
    /// The inode of the last one, and the position behind it.
    inode: Atomic<usize>,
    next: Atomic<u64>,
    is_sequential: Atomic<bool>,
}

impl Pattern {
    pub(super) fn new() -> Self {
        Self {
            inode: Atomic::new(0),
            next: Atomic::new(0),
            is_sequential: Atomic::new(false),
        }
    }

    /// Returns whether the last one followed the one before it.
    pub(super) fn is_sequential(&self) -> bool {
        self.is_sequential.load(Relaxed)
    }

    /// Notes writes from `begin` to `end`, in bytes, which are `several` or one.
    pub(super) fn note(&self, inode: usize, begin: u64, end: u64, several: bool) {
        let follows = self.inode.load(Relaxed) == inode && self.next.load(Relaxed) == begin;
        self.is_sequential.store(several || follows, Relaxed);
        self.inode.store(inode, Relaxed);
        self.next.store(end, Relaxed);
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
