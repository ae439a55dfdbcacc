// SPDX-License-Identifier: GPL-2.0

//! The queues of workers. [`worker`](super::worker) fills and processes them.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use kernel_ext::dio::DioTarget;

use crate::dio::WorkerQueue;

/// Requests of some inodes whose completion sleeps.
#[pin_data]
pub(crate) struct InodeQueue<T: DioTarget> {
    #[pin]
    pub(super) requests: WorkerQueue<T>,
    pub(super) pattern: Pattern,
}

impl<T: DioTarget> InodeQueue<T> {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            requests <- WorkerQueue::new(),
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
