// SPDX-License-Identifier: GPL-2.0

//! Completions that neither an interrupt nor the issuer can run.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::bio::{
        EndedHead,
        RedirtyBio, //
    },
    context::Io,
    sync::llist::LockFreeList,
    workqueue::{
        IoWork,
        IoWorkItem, //
    },
};

use super::{
    complete,
    stats::Event,
    DioFile,
    Engine, //
};

/// What the work item of a file is for: those of its requests that are there together share a flush.
pub(crate) struct Worker<F: DioFile> {
    ended: LockFreeList<EndedHead<F>>,
    /// Bios of requests that may still be under way.
    redirty: LockFreeList<RedirtyBio>,
}

impl<F: DioFile> Worker<F> {
    /// Creates the worker of a file. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(engine: &Engine<F>) -> Result<Arc<IoWork<Self>>> {
        let worker = Self {
            ended: LockFreeList::new(),
            redirty: LockFreeList::new(),
        };
        IoWork::new(worker, &engine.queue)
    }
}

/// Lets the worker of its file finish a request. Any context.
pub(super) fn push<F: DioFile>(head: EndedHead<F>) {
    // The request keeps the worker no longer than until it is in the list.
    let worker = head.kiocb().target().worker().clone();
    if worker.ended.push(head) {
        // If it is queued already, it has not looked yet.
        worker.enqueue();
    }
}

/// Lets the worker of `file` mark the pages of a bio dirty. Any context.
pub(super) fn push_redirty<F: DioFile>(file: &F, bio: RedirtyBio) {
    if file.worker().redirty.push(bio) {
        file.worker().clone().enqueue();
    }
}

impl<F: DioFile> IoWorkItem for Worker<F> {
    fn run(&self, io: &Io) {
        for bio in self.redirty.take_all() {
            bio.redirty(io);
        }
        // The data of all that is taken here is on the device, so that a flush that begins now
        // makes it durable.
        let mut flushed = None;
        for head in self.ended.take_all() {
            let flushed = if complete::must_flush(head.data()) {
                let engine = head.kiocb().target().engine();
                engine.stats.count(Event::Flushed);
                *flushed.get_or_insert_with(|| {
                    engine.stats.count(Event::WorkerFlush);
                    engine.device.issue_flush(io)
                })
            } else {
                Ok(())
            };
            let (kiocb, ret) = complete::after_flush(head, flushed, io);
            kiocb.complete(ret);
        }
    }
}
