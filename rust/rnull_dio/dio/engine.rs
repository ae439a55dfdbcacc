// SPDX-License-Identifier: GPL-2.0

//! The engine for the files on a device.

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
    block::{
        bio::DmaLimits,
        BdevFile, //
    },
    dio::{
        BioSet,
        EndedDio,
        HandOver, //
    },
    sync::llist::LockLessList,
    task_work::TaskWorkQueue,
    workqueue::OwnedQueue, //
};

use crate::named::Named;

use super::{
    checker::Checker,
    policy::Policy,
    stats::Stats, //
};

/// The engine for the files on a device. `T` is the target of their requests.
#[pin_data]
pub(crate) struct Engine<T: HandOver> {
    /// The device's limits for bios. The block is the unit of positions and lengths.
    pub(super) limits: DmaLimits,
    /// Whether bios can be polled for.
    pub(super) pollable: bool,
    /// Polled requests that have ended. One list for all files, because a task that polls the
    /// device finds bios of any file on its hardware queue.
    pub(super) polled: LockLessList<EndedDio<T>>,
    /// Requests that wait for their issuers' tasks.
    #[pin]
    pub(super) task_work: TaskWorkQueue<EndedDio<T>>,
    /// A [`Policy`].
    policy: Atomic<u32>,
    pub(super) checker: Checker,
    pub(crate) stats: Arc<Stats>,
    /// Runs the workers of the files. Declared before the bios, so that it is drained before they
    /// are freed.
    pub(super) queue: OwnedQueue,
    /// Runs the work items that mark pages dirty, which may wait long for folio locks. It has no
    /// rescuer, because the workers would wait for the rescuer's single thread, too.
    pub(super) redirty_queue: OwnedQueue,
    /// The pool of requests, each in one allocation with its first bio.
    #[pin]
    pub(super) bios: BioSet<T>,
    /// The device of the data. Declared last, so that it is open until the queues are drained.
    pub(crate) device: BdevFile,
}

impl<T: HandOver> Engine<T> {
    /// Creates the engine for the files on `device`, which is called `name`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(device: BdevFile, name: &CStr) -> Result<Arc<Self>> {
        let redirty_name = CString::try_from_fmt(fmt!("{name}-redirty"))?;
        Arc::pin_init(
            try_pin_init!(Self {
                limits: DmaLimits::of(&device),
                pollable: device.is_mq(),
                polled: LockLessList::new(),
                task_work <- TaskWorkQueue::new(),
                policy: Atomic::new(Policy::default() as u32),
                checker: Checker::new()?,
                stats: Arc::new(Stats::new()?, GFP_KERNEL)?,
                queue: OwnedQueue::new_mem_reclaim(name)?,
                redirty_queue: OwnedQueue::new(&redirty_name)?,
                bios <- BioSet::new(),
                device,
            }),
            GFP_KERNEL,
        )
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

    /// Returns the unit of positions and lengths in bytes, a power of two.
    pub(crate) fn block_size(&self) -> u32 {
        self.limits.block
    }
}
