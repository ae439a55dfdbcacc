// SPDX-License-Identifier: GPL-2.0

//! The workers: completions that neither an interrupt nor the issuer can run.

use kernel_ext::{
    context::MayIo,
    dio::{
        DioKiocb,
        EndedDio, //
    },
    sync::llist::LockLessList,
    workqueue::IoWorkItem, //
};

use super::{
    batch,
    engine::Engine,
    files::Files,
    queue::WorkerQueue,
    request::State, //
};

/// Queues a request of which all bios have ended for the worker of its inode. Any context.
pub(super) fn push<F: Files>(dio: EndedDio<Engine<F>>) {
    let grouped = dio.state().is_grouped;
    push_counted(dio, grouped);
}

/// As [`push`], for a request that its issuer refused, and that was already counted as ended. Any
/// context.
pub(super) fn push_refused<F: Files>(dio: EndedDio<Engine<F>>) {
    push_counted(dio, false);
}

fn push_counted<F: Files>(dio: EndedDio<Engine<F>>, counts: bool) {
    // The request keeps the worker no longer than until it is in the list.
    let worker = dio.kiocb().target().worker(dio.kiocb().inode_id()).clone();
    let first = worker.ended.push(dio);
    if counts {
        worker.group.end();
    }
    if first {
        // If the worker is queued already, it has not looked at the list yet.
        worker.enqueue();
    }
}

/// Counts a request as submitted, if it may be ended together with others.
#[inline]
pub(super) fn count_submitted<F: Files>(kiocb: &DioKiocb<Engine<F>>, state: &State) {
    if state.is_grouped {
        kiocb.target().worker(kiocb.inode_id()).group.submit();
    }
}

/// Counts a request as ended that another context than the worker completes. Any context.
#[inline(always)]
pub(super) fn ended_elsewhere<F: Files>(dio: &EndedDio<Engine<F>>) {
    if dio.state().is_grouped {
        let kiocb = dio.kiocb();
        kiocb.target().worker(kiocb.inode_id()).group.end();
    }
}

/// Ends all requests that are in the queue.
fn end_all<F: Files>(
    queue: &WorkerQueue<Engine<F>>,
    durable: &LockLessList<EndedDio<Engine<F>>>,
    io: &MayIo,
) {
    batch::end_all(queue.ended.take_all(), &queue.pattern, durable, io);
}

impl<F: Files> IoWorkItem for WorkerQueue<Engine<F>> {
    fn run(&self, io: &MayIo) {
        let durable = LockLessList::new();
        let waits = self.pattern.is_sequential();
        if waits {
            // The writes in flight are likely to share a call of `->end_io`.
            self.group.wait_for_batch(io);
            self.group.measure(|| end_all(self, &durable, io));
        } else {
            end_all(self, &durable, io);
        }
        if durable.is_empty() {
            if !waits {
                self.group.skip_batch();
            }
            return;
        }
        if !waits {
            self.group.wait_for_batch(io);
            end_all(self, &durable, io);
        }
        // The data of all these writes is on the device, and their blocks are converted, so a sync
        // that begins now makes them durable.
        batch::sync_all(durable.take_all(), &self.group, io);
    }
}
