// SPDX-License-Identifier: GPL-2.0

//! Direct I/O engine.
//!
//! A request passes through these files in turn: [`range`] checks it, [`submit`] maps it and
//! submits its bios, [`end_io`] collects them, [`route`] decides in whose context the rest of the
//! completion runs, and [`complete`] is that rest. Contexts other than the issuer's own and the
//! interrupt's are [`poll`] and [`worker`]. A [`policy`] makes it decide as Linux did before.
//!
//! Files are the users of the engine; it knows them by [`DioFile`] alone.

mod checker;
mod complete;
mod end_io;
mod must_not_compile;
mod policy;
mod poll;
mod range;
mod request;
mod route;
mod stats;
mod submit;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod worker;

pub(crate) use self::{
    complete::in_task as finish,
    end_io::{
        end_io,
        refused, //
    },
    policy::Policy,
    poll::poll,
    range::Direction,
    request::Dio,
    route::show_table,
    stats::Stats,
    submit::submit,
    worker::Worker, //
};

use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

use kernel_ext::{
    block::{
        bio::{
            BioSet,
            BioTarget,
            EndedHead, //
        },
        BlockDevice,
    },
    context::Task,
    fs::iomap::Mapping,
    sync::llist::LockFreeList,
    task_work::Mailboxes,
    workqueue::{
        IoWork,
        OwnedQueue, //
    },
};

use self::checker::Checker;

/// What a file does itself when a request has ended, by [`DioFile::completed`].
// Files other than those of tests have yet to come.
#[cfg_attr(not(CONFIG_KUNIT), expect(dead_code))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnPart {
    /// Nothing.
    None,
    /// Something that relies on the request being counted in `i_dio_count` until it has returned:
    /// on the file not being truncated meanwhile, for example. It is left to the worker where it
    /// cannot be done by a submitter or a waiter.
    Counted,
    /// Something that is right whatever has become of the file meanwhile.
    Uncounted,
}

/// A file that direct I/O is done on.
pub(crate) trait DioFile: BioTarget<Data = Dio> + Mapping {
    /// What the file does itself when a request has ended.
    const OWN_PART: OwnPart = OwnPart::None;

    /// Called when a request has ended, before its issuer is told, unless [`OWN_PART`] is
    /// [`OwnPart::None`].
    ///
    /// [`OWN_PART`]: Self::OWN_PART
    ///
    /// # Errors
    ///
    /// Whatever the issuer shall get, if there was no error before.
    fn completed(&self, _dio: &Dio, _task: &Task) -> Result {
        Ok(())
    }

    /// What the file shares with the others on its device.
    fn engine(&self) -> &Engine<Self>;

    /// Who finishes requests of this file that cannot be finished in an interrupt.
    fn worker(&self) -> &Arc<IoWork<Worker<Self>>>;

    /// The size of the file in bytes.
    fn size(&self) -> u64;
}

/// What the files on a device have in common.
#[pin_data]
pub(crate) struct Engine<F: DioFile> {
    /// Where the data is.
    pub(crate) device: ARef<BlockDevice>,
    /// The unit of positions and lengths, in bytes.
    pub(crate) block_size: u32,
    /// What addresses of memory must be free of.
    dma_mask: u32,
    /// Can bios be polled for?
    pollable: bool,
    /// Polled requests that have ended. One list for all files: whoever polls the device reaps
    /// whatever has ended on its queue.
    polled: LockFreeList<EndedHead<F>>,
    /// Requests that wait for a task of their issuer's.
    #[pin]
    pub(crate) mailboxes: Mailboxes<EndedHead<F>>,
    /// A [`Policy`].
    policy: Atomic<u32>,
    checker: Checker,
    pub(crate) stats: Arc<Stats>,
    /// Runs the workers. Declared before the bios, so that it is drained before they are gone.
    queue: OwnedQueue,
    /// Requests, each in one allocation with its first bio.
    #[pin]
    pub(crate) bios: BioSet<F>,
}

impl<F: DioFile> Engine<F> {
    /// Creates the engine for the files on `device`, which is called `name`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(device: ARef<BlockDevice>, name: &CStr) -> Result<Arc<Self>> {
        let stats = Arc::new(Stats::new()?, GFP_KERNEL)?;
        let queue = OwnedQueue::new_mem_reclaim(name)?;
        Arc::pin_init(
            try_pin_init!(Self {
                block_size: device.logical_block_size(),
                dma_mask: device.dma_alignment_mask(),
                pollable: device.is_mq(),
                polled: LockFreeList::new(),
                mailboxes <- Mailboxes::new(),
                policy: Atomic::new(Policy::default() as u32),
                checker: Checker::new()?,
                stats,
                queue,
                bios <- BioSet::new(),
                device,
            }),
            GFP_KERNEL,
        )
    }

    /// Who completes requests?
    #[inline]
    pub(crate) fn policy(&self) -> Policy {
        // CAST: From 32 bits to 64.
        Policy::ALL[self.policy.load(Relaxed) as usize]
    }

    /// Changes who completes requests, for those that begin from now on.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.policy.store(policy as u32, Relaxed);
    }
}
