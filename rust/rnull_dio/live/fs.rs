// SPDX-License-Identifier: GPL-2.0

//! The engine of an attached file system.

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
    dio::BioSet,
    percpu_ref::Users,
    workqueue::{
        IoWork,
        OwnedQueue, //
    },
};

use crate::{
    counters::Counters,
    dio::{
        Checker,
        Policy,
        RedirtyQueue,
        Route, //
    },
    named::Named,
};

use super::{
    passed::Reason,
    queue::InodeQueue, //
};

/// Counters of an attached file system, for debugfs.
pub(crate) struct Stats {
    /// How many completions took each route.
    pub(super) routes: Counters<Route>,
    /// How many requests were passed on, by their reasons.
    pub(super) passed: Counters<Reason>,
}

/// The engine of an attached file system.
#[pin_data]
pub(crate) struct LiveFs {
    /// The requests that have been taken, and are not complete.
    #[pin]
    pub(super) users: Users,
    /// A [`Policy`].
    policy: Atomic<u32>,
    pub(super) checker: Checker,
    pub(super) stats: Arc<Stats>,
    /// Each inode has one of them, see [`worker`](Self::worker).
    workers: KVec<Arc<IoWork<InodeQueue<Self>>>>,
    pub(super) redirty: Arc<IoWork<RedirtyQueue<Self>>>,
    /// Runs the workers. Declared before the bios, so that it is drained before they are freed.
    queue: OwnedQueue,
    /// Runs the work items that mark pages dirty, which may wait long for folio locks.
    redirty_queue: OwnedQueue,
    #[pin]
    pub(super) bios: BioSet<Self>,
}

/// The number of workers of a file system.
///
/// That two inodes share one cannot make a completion wait for another that waits for it: Linux may
/// run the completions of a file system one after another, too, in the rescuer of its workqueue.
const WORKERS: usize = 64;

impl LiveFs {
    /// Creates the engine for a file system that is called `name`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(name: &CStr, policy: Policy) -> Result<impl PinInit<Self, Error>> {
        let queue = OwnedQueue::new_mem_reclaim(&CString::try_from_fmt(fmt!("{name}-dio"))?)?;
        let redirty_queue = OwnedQueue::new(&CString::try_from_fmt(fmt!("{name}-redirty"))?)?;
        let mut workers = KVec::with_capacity(WORKERS, GFP_KERNEL)?;
        for _ in 0..WORKERS {
            workers.push(IoWork::new(InodeQueue::new(), &queue)?, GFP_KERNEL)?;
        }
        Ok(try_pin_init!(Self {
            users <- Users::new(),
            policy: Atomic::new(policy as u32),
            checker: Checker::new()?,
            stats: Arc::new(
                Stats {
                    routes: Counters::new()?,
                    passed: Counters::new()?,
                },
                GFP_KERNEL,
            )?,
            workers,
            redirty: IoWork::new(RedirtyQueue::new(), &redirty_queue)?,
            queue,
            redirty_queue,
            bios <- BioSet::new(),
        }))
    }

    /// Returns the policy of requests that begin now.
    #[inline]
    pub(super) fn policy(&self) -> Policy {
        // CAST: From 32 bits to 64.
        Policy::ALL[self.policy.load(Relaxed) as usize]
    }

    /// Changes the policy, for requests that begin from now on.
    pub(super) fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u32, Relaxed);
    }

    /// Returns the worker of an inode.
    pub(super) fn worker(&self, inode: usize) -> &Arc<IoWork<InodeQueue<Self>>> {
        // Inodes are some hundred bytes apart.
        &self.workers[(inode >> 6 ^ inode >> 12) % WORKERS]
    }
}
