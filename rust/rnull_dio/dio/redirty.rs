// SPDX-License-Identifier: GPL-2.0

//! Marking the pages of reads dirty that were cleaned while the read was in flight.
//!
//! The pages are those of the reader's memory, and may belong to any file system. Their locks may
//! be held until a writeback is over that itself waits for a completion by the worker of this file,
//! so this has a work item of its own.

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
    file::{
        DioFile,
        File, //
    },
    queue::RedirtyQueue, //
};

/// Queues a bio whose pages have to be marked dirty. Any context.
pub(super) fn push_bio<F: DioFile>(file: &File<F>, bio: RedirtyBio) {
    if file.redirty().bios.push(bio) {
        file.redirty().clone().enqueue();
    }
}

/// Queues a read whose pages have to be marked dirty before it is completed. Any context.
pub(super) fn push<F: DioFile>(mut dio: EndedDio<File<F>>) {
    // Before this waits for page locks, see `complete::end_dio_of_read`.
    complete::end_dio_of_read(&mut dio);
    // The request keeps the work item no longer than until it is in the list.
    let work = dio.kiocb().target().redirty().clone();
    if work.ended.push(dio) {
        work.enqueue();
    }
}

impl<F: DioFile> IoWorkItem for RedirtyQueue<File<F>> {
    fn run(&self, io: &MayIo) {
        for bio in self.bios.take_all() {
            bio.redirty(io);
        }
        for dio in self.ended.take_all() {
            let (kiocb, ret) = complete::in_task(dio, io);
            kiocb.complete(ret);
        }
    }
}
