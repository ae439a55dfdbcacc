// SPDX-License-Identifier: GPL-2.0

//! Completing requests that have ended together: one `->end_io` for contiguous writes, and one sync
//! for the writes of an open file that have to be durable.

use kernel::prelude::*;

use kernel_ext::{
    context::MayIo,
    dio::{
        EndIoFlags,
        EndedDio, //
    },
    sync::llist::{
        Drain,
        LockLessList, //
    },
};

use super::{
    complete,
    direction::Direction,
    engine::Engine,
    files::Files,
    flush_group::FlushGroup,
    queue::Pattern,
    stats::Event,
    sync_range::SyncRange, //
};

/// How many runs of a batch are built at a time, because the requests of several files, or of several
/// places in a file, end in turn.
const MAX_RUNS: usize = 8;

/// Ends all requests of a batch. Completes them, except writes that have to be durable, which go to
/// `durable`.
pub(super) fn end_all<F: Files>(
    ended: Drain<EndedDio<Engine<F>>>,
    pattern: &Pattern,
    durable: &LockLessList<EndedDio<Engine<F>>>,
    io: &MayIo,
) {
    let mut runs = [const { None }; MAX_RUNS];
    let mut oldest = 0;
    for dio in ended {
        if let Err(dio) = join_any(&mut runs, dio) {
            if let Some(run) = runs[oldest].replace(Run::new(dio)) {
                run.end(pattern, durable, io);
            }
            oldest = (oldest + 1) % MAX_RUNS;
        }
    }
    runs.rotate_left(oldest);
    for run in runs.into_iter().flatten() {
        run.end(pattern, durable, io);
    }
}

/// Adds a request to one of the runs, or returns it.
fn join_any<F: Files>(
    runs: &mut [Option<Run<F>>],
    mut dio: EndedDio<Engine<F>>,
) -> Result<(), EndedDio<Engine<F>>> {
    for run in runs.iter_mut().flatten() {
        match run.join(dio) {
            Ok(()) => return Ok(()),
            Err(other) => dio = other,
        }
    }
    Err(dio)
}

/// Requests that are ended by one call of their file system. If there are several, they are
/// writes that are contiguous in their file, and have succeeded.
struct Run<F: Files> {
    /// The first one in the file.
    first: EndedDio<Engine<F>>,
    others: LockLessList<EndedDio<Engine<F>>>,
    /// The bytes of all.
    size: usize,
}

/// The most bytes of a run, which are those of the longest request.
const MAX_SIZE: usize = i32::MAX as usize;

impl<F: Files> Run<F> {
    fn new(mut first: EndedDio<Engine<F>>) -> Self {
        Self {
            size: first.state_mut().size(),
            first,
            others: LockLessList::new(),
        }
    }

    /// Adds a request, or returns it if the call for the run does not end it.
    fn join(&mut self, mut dio: EndedDio<Engine<F>>) -> Result<(), EndedDio<Engine<F>>> {
        let size = dio.state_mut().size();
        let (begin, pos) = (self.first.kiocb().ki_pos(), dio.kiocb().ki_pos());
        let is_behind = begin + self.size as u64 == pos;
        let is_before = pos + size as u64 == begin;
        if !(is_behind || is_before)
            || size > MAX_SIZE - self.size
            || !same_end(&mut self.first, &mut dio)
        {
            return Err(dio);
        }
        self.size += size;
        self.others.push(if is_behind {
            dio
        } else {
            core::mem::replace(&mut self.first, dio)
        });
        Ok(())
    }

    /// Ends all requests of the run.
    fn end(self, pattern: &Pattern, durable: &LockLessList<EndedDio<Engine<F>>>, io: &MayIo) {
        let Self {
            mut first,
            others,
            size,
        } = self;
        if first.state_mut().end_io_flags() != EndIoFlags::NONE {
            let begin = first.kiocb().ki_pos();
            let several = !others.is_empty();
            pattern.note(
                first.kiocb().inode_id(),
                begin,
                begin + size as u64,
                several,
            );
        }
        // If the call for all fails, each request gets a result of its own.
        let together =
            !others.is_empty() && complete::tell_file_system_of(&mut first, size).is_ok();
        let end_one = |mut dio: EndedDio<Engine<F>>| {
            let ret = if together {
                complete::end_told(&mut dio, io);
                Ok(dio.state_mut().size())
            } else {
                complete::end(&mut dio, io)
            };
            complete_or_keep(dio, ret, durable);
        };
        end_one(first);
        others.take_all().for_each(end_one);
    }
}

/// Returns whether two requests are writes of the same file that have succeeded, and whose file
/// system gets the same arguments but for the range.
fn same_end<F: Files>(one: &mut EndedDio<Engine<F>>, other: &mut EndedDio<Engine<F>>) -> bool {
    let plain = |dio: &mut EndedDio<Engine<F>>| {
        let state = dio.state_mut();
        let size = state.size() as u64;
        let written = state.direction == Direction::Write && state.error().is_ok() && size > 0;
        let kiocb = dio.kiocb();
        // XFS sets the size of the file to the end of all in memory, and may then fail. A call for
        // one of them would find that size, and succeed without doing anything.
        written && kiocb.ki_pos() + size <= kiocb.file_size()
    };
    plain(one)
        && plain(other)
        && one.state_mut().end_io_flags() == other.state_mut().end_io_flags()
        && one.has_same_end_io(other)
        && one.kiocb().inode_id() == other.kiocb().inode_id()
}

/// Passes the result of a request to its issuer, unless it is a write that has to be durable.
fn complete_or_keep<F: Files>(
    mut dio: EndedDio<Engine<F>>,
    ret: Result<usize>,
    durable: &LockLessList<EndedDio<Engine<F>>>,
) {
    match ret {
        Ok(bytes @ 1..) if dio.state_mut().must_sync() => {
            dio.state_mut().ended_bytes = bytes;
            durable.push(dio);
        }
        ret => {
            let (kiocb, ret) = complete::take_result(dio, ret, Ok(()));
            kiocb.complete(ret);
        }
    }
}

/// Makes writes durable that have ended, and completes them. Those of an open file share a sync.
pub(super) fn sync_all<F: Files>(
    mut durable: Drain<EndedDio<Engine<F>>>,
    group: &FlushGroup,
    io: &MayIo,
) {
    while let Some(dio) = durable.next() {
        let mut shared = SharedSync::new(dio);
        let others = LockLessList::new();
        for dio in durable {
            if let Err(dio) = shared.join(dio) {
                others.push(dio);
            }
        }
        shared.complete(group, io);
        durable = others.take_all();
    }
}

/// Writes of an open file that share a sync.
struct SharedSync<F: Files> {
    range: SyncRange,
    dios: LockLessList<EndedDio<Engine<F>>>,
}

impl<F: Files> SharedSync<F> {
    fn new(dio: EndedDio<Engine<F>>) -> Self {
        let range = SyncRange::of(&dio, dio.state().ended_bytes);
        let dios = LockLessList::new();
        dios.push(dio);
        Self { range, dios }
    }

    /// Adds a write, or returns it if it is one of another file.
    fn join(&mut self, dio: EndedDio<Engine<F>>) -> Result<(), EndedDio<Engine<F>>> {
        let range = SyncRange::of(&dio, dio.state().ended_bytes);
        if !self.range.join(&range) {
            return Err(dio);
        }
        self.dios.push(dio);
        Ok(())
    }

    /// Syncs the range, and completes the writes.
    fn complete(self, group: &FlushGroup, io: &MayIo) {
        let Self { range, dios } = self;
        let mut synced = None;
        for dio in dios.take_all() {
            let synced = *synced.get_or_insert_with(|| sync(&range, &dio, group, io));
            dio.kiocb().target().stats.events.inc(Event::Flushed);
            let bytes = dio.state().ended_bytes;
            let (kiocb, ret) = complete::take_result(dio, Ok(bytes), synced);
            kiocb.complete(ret);
        }
    }
}

/// Makes a range of the file of `dio` durable, for one or more writes.
fn sync<F: Files>(
    range: &SyncRange,
    dio: &EndedDio<Engine<F>>,
    group: &FlushGroup,
    io: &MayIo,
) -> Result {
    dio.kiocb().target().stats.events.inc(Event::WorkerFlush);
    group.measure(|| range.sync(dio, io))
}
