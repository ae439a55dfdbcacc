// SPDX-License-Identifier: GPL-2.0

//! The workers: completions that sleep.

use kernel_ext::{
    context::MayIo,
    dio::{
        DioKiocb,
        EndedDio,
        RedirtyBio, //
    },
    sync::llist::LockLessList,
    workqueue::IoWorkItem, //
};

use crate::dio::RedirtyQueue;

use super::{
    batch,
    complete,
    fs::LiveFs,
    queue::InodeQueue,
    request::State, //
};

/// Queues a request of which all bios have ended for the worker of its inode. Any context.
pub(super) fn push(dio: EndedDio<LiveFs>) {
    // The request keeps the worker no longer than until it is in the list.
    let worker = dio.kiocb().target().worker(dio.kiocb().inode_id()).clone();
    let grouped = dio.state().is_grouped;
    let first = worker.requests.ended.push(dio);
    if grouped {
        worker.requests.group.end();
    }
    if first {
        worker.enqueue();
    }
}

/// Counts a request as submitted, if it may be ended together with others.
#[inline]
pub(super) fn count_submitted(kiocb: &DioKiocb<LiveFs>, state: &State) {
    if state.is_grouped {
        kiocb
            .target()
            .worker(kiocb.inode_id())
            .requests
            .group
            .submit();
    }
}

/// Counts a request as ended that another context than the worker completes. Any context.
#[inline]
pub(super) fn ended_elsewhere(dio: &EndedDio<LiveFs>) {
    if dio.state().is_grouped {
        let kiocb = dio.kiocb();
        kiocb.target().worker(kiocb.inode_id()).requests.group.end();
    }
}

/// Ends all requests that are in the queue.
fn end_all(queue: &InodeQueue<LiveFs>, durable: &LockLessList<EndedDio<LiveFs>>, io: &MayIo) {
    batch::end_all(queue.requests.ended.take_all(), &queue.pattern, durable, io);
}

impl IoWorkItem for InodeQueue<LiveFs> {
    fn run(&self, io: &MayIo) {
        let group = &self.requests.group;
        let durable = LockLessList::new();
        let waits = self.pattern.is_sequential();
        if waits {
            // The writes in flight are likely to share a call of `->end_io`.
            group.wait_for_batch(io);
            group.measure(|| end_all(self, &durable, io));
        } else {
            end_all(self, &durable, io);
        }
        if durable.is_empty() {
            if !waits {
                group.skip_batch();
            }
            return;
        }
        if !waits {
            group.wait_for_batch(io);
            end_all(self, &durable, io);
        }
        // The data of all these writes is on the device, and their blocks are converted, so a sync
        // that begins now makes them durable.
        batch::sync_all(durable.take_all(), group, io);
    }
}

/// Queues a bio whose pages have to be marked dirty. Any context.
pub(super) fn push_redirty_bio(fs: &LiveFs, bio: RedirtyBio) {
    if fs.redirty.bios.push(bio) {
        fs.redirty.clone().enqueue();
    }
}

/// Queues a read whose pages have to be marked dirty before it is completed. Any context.
pub(super) fn push_redirty(mut dio: EndedDio<LiveFs>) {
    end_dio_of_read(&mut dio);
    let work = dio.kiocb().target().redirty.clone();
    if work.ended.push(dio) {
        work.enqueue();
    }
}

/// Drops the count in `i_dio_count` of a read whose pages have to be marked dirty, unless its file
/// system relies on it.
///
/// The lock of such a page may be held until a writeback is over that itself waits for a task which
/// excludes direct I/O from this file. The pages are not those of the file.
fn end_dio_of_read(dio: &mut EndedDio<LiveFs>) {
    if dio.state().end_io.is_none() {
        dio.end_dio();
    }
}

/// Marks the pages dirty that a writeback has cleaned while the device wrote to them, because the
/// writeback may have missed data.
#[cold]
pub(super) fn redirty(dio: &mut EndedDio<LiveFs>, io: &MayIo) {
    end_dio_of_read(dio);
    dio.redirty_pages(io);
}

impl IoWorkItem for RedirtyQueue<LiveFs> {
    fn run(&self, io: &MayIo) {
        for bio in self.bios.take_all() {
            bio.redirty(io);
        }
        for mut dio in self.ended.take_all() {
            redirty(&mut dio, io);
            let (kiocb, ret) = complete::in_task(dio, io);
            kiocb.complete(ret);
        }
    }
}
