// SPDX-License-Identifier: GPL-2.0

//! The engine for some files.

use kernel::{
    prelude::*,
    str::CString,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

use kernel_ext::{
    dio::{
        BioSet,
        EndedDio, //
    },
    sync::llist::LockLessList,
    task_work::TaskWorkQueue,
    workqueue::{
        IoWork,
        OwnedQueue, //
    },
};

use crate::named::Named;

use super::{
    checker::Checker,
    files::Files,
    policy::Policy,
    queue::{
        RedirtyQueue,
        WorkerQueue, //
    },
    stats::Stats, //
};

/// The engine for some files, and what they share. Requests carry a pointer to it.
#[pin_data]
pub(crate) struct Engine<F: Files> {
    /// A [`Policy`].
    policy: Atomic<u32>,
    pub(super) checker: Checker,
    pub(crate) stats: Arc<Stats>,
    /// Polled requests that have ended. One list for all files, because a task that polls the
    /// device finds bios of any file on its hardware queue.
    pub(super) polled: LockLessList<EndedDio<Self>>,
    /// Requests that wait for their issuers' tasks.
    #[pin]
    pub(super) task_work: TaskWorkQueue<EndedDio<Self>>,
    /// Each inode has one of them, see [`worker`](Self::worker).
    workers: KVec<Arc<IoWork<WorkerQueue<Self>>>>,
    pub(super) redirty: Arc<IoWork<RedirtyQueue<Self>>>,
    /// Runs the workers. Declared before the bios, so that it is drained before they are freed.
    queue: OwnedQueue,
    /// Runs the work item that marks pages dirty, which may wait long for folio locks. It has no
    /// rescuer, because the workers would wait for the rescuer's single thread, too.
    redirty_queue: OwnedQueue,
    /// The pool of requests, each in one allocation with its first bio.
    #[pin]
    pub(super) bios: BioSet<Self>,
    /// The files. Declared last, because they keep what the queues need until they are drained.
    #[pin]
    pub(crate) files: F,
}

impl<F: Files> Engine<F> {
    /// Creates the engine for `files`, which is called `name`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of `files`.
    pub(crate) fn new<E>(
        name: &CStr,
        policy: Policy,
        files: impl PinInit<F, E>,
    ) -> Result<impl PinInit<Self, Error>>
    where
        Error: From<E>,
    {
        let queue = OwnedQueue::new_mem_reclaim(name)?;
        let redirty_queue = OwnedQueue::new(&CString::try_from_fmt(fmt!("{name}-redirty"))?)?;
        let mut workers = KVec::with_capacity(F::WORKERS, GFP_KERNEL)?;
        for _ in 0..F::WORKERS {
            workers.push(IoWork::new(WorkerQueue::new(), &queue)?, GFP_KERNEL)?;
        }
        Ok(try_pin_init!(Self {
            policy: Atomic::new(policy as u32),
            checker: Checker::new()?,
            stats: Arc::new(Stats::new()?, GFP_KERNEL)?,
            polled: LockLessList::new(),
            task_work <- TaskWorkQueue::new(),
            workers,
            redirty: IoWork::new(RedirtyQueue::new(), &redirty_queue)?,
            queue,
            redirty_queue,
            bios <- BioSet::new(),
            files <- files,
        }))
    }

    /// Returns the policy of requests that begin now.
    #[inline]
    pub(crate) fn policy(&self) -> Policy {
        // CAST: From 32 bits to 64.
        Policy::ALL[self.policy.load(Relaxed) as usize]
    }

    /// Changes the policy, for requests that begin from now on.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u32, Relaxed);
    }

    /// Returns the worker of an inode.
    #[inline]
    pub(super) fn worker(&self, inode: usize) -> &Arc<IoWork<WorkerQueue<Self>>> {
        // Inodes are some hundred bytes apart.
        &self.workers[(inode >> 6 ^ inode >> 12) % F::WORKERS]
    }
}
