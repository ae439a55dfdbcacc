// SPDX-License-Identifier: GPL-2.0

//! The worker of a file: completions that neither an interrupt nor the issuer can run.

use kernel::prelude::*;

use kernel_ext::{
    context::MayIo,
    dio::EndedDio,
    sync::llist::{
        Drain,
        LockLessList, //
    },
    workqueue::IoWorkItem, //
};

use super::{
    complete,
    engine::Engine,
    file::{
        DioFile,
        File, //
    },
    queue::WorkerQueue,
    redirty,
    stats::Event, //
};

/// Queues a request for the work item of its file that completes it. Any context.
pub(super) fn push<F: DioFile>(dio: EndedDio<File<F>>) {
    let grouped = dio.state().is_grouped;
    push_counted(dio, grouped);
}

/// As [`push`], for a request that its issuer refused, and that was already counted as ended. Any
/// context.
pub(super) fn push_refused<F: DioFile>(dio: EndedDio<File<F>>) {
    push_counted(dio, false);
}

fn push_counted<F: DioFile>(dio: EndedDio<File<F>>, counts: bool) {
    if dio.must_redirty() {
        return redirty::push(dio);
    }
    // The request keeps the worker no longer than until it is in the list.
    let worker = dio.kiocb().target().worker().clone();
    let first = worker.ended.push(dio);
    if counts {
        worker.group.end();
    }
    if first {
        // If the worker is queued already, it has not looked at the list yet.
        worker.enqueue();
    }
}

/// Counts a request as ended that another context than the worker completes. Any context.
#[inline]
pub(super) fn ended_elsewhere<F: DioFile>(dio: &EndedDio<File<F>>) {
    if dio.state().is_grouped {
        dio.kiocb().target().worker().group.end();
    }
}

/// Completes the writes that have ended, except those that need a flush, which go to `durable`.
fn complete_or_keep<F: DioFile>(
    queue: &WorkerQueue<File<F>>,
    durable: &LockLessList<EndedDio<File<F>>>,
    io: &MayIo,
) {
    for mut dio in queue.ended.take_all() {
        if complete::must_flush(dio.state_mut()) {
            durable.push(dio);
        } else {
            let (kiocb, ret) = complete::after_flush(dio, Ok(()), io);
            kiocb.complete(ret);
        }
    }
}

/// Completes writes that need a flush, all of which have ended, with one flush.
fn flush_and_complete<F: DioFile>(
    queue: &WorkerQueue<File<F>>,
    batch: Drain<EndedDio<File<F>>>,
    io: &MayIo,
) {
    let mut flushed = None;
    for dio in batch {
        let engine = dio.kiocb().target().engine();
        let flushed = *flushed.get_or_insert_with(|| flush(queue, engine, io));
        engine.stats.events.inc(Event::Flushed);
        let (kiocb, ret) = complete::after_flush(dio, flushed, io);
        kiocb.complete(ret);
    }
}

fn flush<F: DioFile>(queue: &WorkerQueue<File<F>>, engine: &Engine<File<F>>, io: &MayIo) -> Result {
    engine.stats.events.inc(Event::WorkerFlush);
    queue.group.measure(|| engine.device.issue_flush(io))
}

impl<F: DioFile> IoWorkItem for WorkerQueue<File<F>> {
    fn run(&self, io: &MayIo) {
        let durable = LockLessList::new();
        complete_or_keep(self, &durable, io);
        if durable.is_empty() {
            return;
        }
        self.group.wait_for_batch(io);
        complete_or_keep(self, &durable, io);
        // The data of all that has been kept is on the device, so a flush that begins now makes it
        // durable.
        flush_and_complete(self, durable.take_all(), io);
    }
}
