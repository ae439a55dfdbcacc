// SPDX-License-Identifier: GPL-2.0

//! The workers: completions that sleep.

use kernel_ext::{
    context::MayIo,
    dio::{
        EndedDio,
        RedirtyBio, //
    },
    workqueue::IoWorkItem, //
};

use super::{
    complete,
    fs::LiveFs,
    queue::{
        RedirtyQueue,
        WorkerQueue, //
    },
};

/// Queues a request of which all bios have ended for the worker of its inode. Any context.
pub(super) fn push(dio: EndedDio<LiveFs>) {
    let inode = dio.kiocb().inode_id();
    // The request keeps the worker no longer than until it is in the list.
    let worker = dio.kiocb().target().worker(inode).clone();
    if worker.ended.push(dio) {
        worker.enqueue();
    }
}

impl IoWorkItem for WorkerQueue<LiveFs> {
    fn run(&self, io: &MayIo) {
        complete::batch(self.ended.take_all(), io);
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
    if dio.state().end_io.is_none() {
        // Before this waits for page locks, which may be held by a writeback that itself waits for a
        // task which excludes direct I/O from this file. The pages are not those of the file.
        dio.end_dio();
    }
    let work = dio.kiocb().target().redirty.clone();
    if work.ended.push(dio) {
        work.enqueue();
    }
}

impl IoWorkItem for RedirtyQueue<LiveFs> {
    fn run(&self, io: &MayIo) {
        for bio in self.bios.take_all() {
            bio.redirty(io);
        }
        for mut dio in self.ended.take_all() {
            dio.redirty_pages(io);
            let (kiocb, ret) = complete::in_task(dio, io);
            kiocb.complete(ret);
        }
    }
}
