// SPDX-License-Identifier: GPL-2.0

//! Marking the pages of reads dirty that were cleaned while the read was in flight.
//!
//! The pages are those of the reader's memory, and may belong to any file system. Their locks may
//! be held until a writeback is over that itself waits for a completion by a worker of this engine,
//! so this has a work item of its own.

use kernel_ext::{
    context::{
        MayIo,
        MaySleep, //
    },
    dio::{
        EndedDio,
        RedirtyBio, //
    },
    workqueue::IoWorkItem, //
};

use super::{
    complete,
    engine::Engine,
    files::Files,
    queue::RedirtyQueue, //
};

/// Queues a bio whose pages have to be marked dirty. Any context.
pub(super) fn push_bio<F: Files>(engine: &Engine<F>, bio: RedirtyBio) {
    if engine.redirty.bios.push(bio) {
        engine.redirty.clone().enqueue();
    }
}

/// Queues a read whose pages have to be marked dirty before it is completed. Any context.
pub(super) fn push<F: Files>(mut dio: EndedDio<Engine<F>>) {
    end_dio_of_read(&mut dio);
    // The request keeps the work item no longer than until it is in the list.
    let work = dio.kiocb().target().redirty.clone();
    if work.ended.push(dio) {
        work.enqueue();
    }
}

/// Drops the count in `i_dio_count` of a read whose pages have to be marked dirty, unless its file
/// system relies on it. Any context.
///
/// The lock of such a page may be held until a writeback is over that itself waits for a task which
/// excludes direct I/O from this file. The pages are not those of the file.
fn end_dio_of_read<F: Files>(dio: &mut EndedDio<Engine<F>>) {
    if !F::COUNTED || !dio.state().has_end_io {
        dio.end_dio();
    }
}

/// Marks the pages dirty that a writeback has cleaned while the device wrote to them, because the
/// writeback may have missed data.
#[cold]
pub(super) fn redirty<F: Files>(dio: &mut EndedDio<Engine<F>>, ctx: &MaySleep) {
    end_dio_of_read(dio);
    dio.redirty_pages(ctx);
}

impl<F: Files> IoWorkItem for RedirtyQueue<Engine<F>> {
    fn run(&self, io: &MayIo) {
        for bio in self.bios.take_all() {
            bio.redirty(io);
        }
        for mut dio in self.ended.take_all() {
            redirty(&mut dio, io);
            let (kiocb, ret) = complete::with_io(dio, io);
            kiocb.complete(ret);
        }
    }
}
