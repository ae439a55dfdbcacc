// SPDX-License-Identifier: GPL-2.0

//! The rest of a completion, in the order that file systems rely on:
//!
//! 1. The file system ends the write (`->end_io`): it converts the blocks, and changes the size of the file.
//! 2. An error is reported to the watchers of the file system.
//! 3. Pages that a write has made stale are dropped from the page cache. Not earlier, because a
//!    buffered read would fill them with zeroes as long as the blocks are not converted.
//! 4. The count in `i_dio_count` is dropped.
//! 5. The file is synced if the write has to be durable.
//! 6. The issuer gets the result.

use kernel::prelude::*;

use kernel_ext::{
    context::{
        InAtomic,
        MayIo, //
    },
    dio::{
        trace,
        DioKiocb,
        EndIoFlags,
        EndIoOp,
        EndedDio, //
    },
    sync::llist::{
        Drain,
        LockLessList, //
    },
};

use crate::dio::Direction;

use super::fs::LiveFs;

/// Runs a completion in a task. Returns the request and the result, for the issuer.
pub(super) fn in_task(mut dio: EndedDio<LiveFs>, io: &MayIo) -> (DioKiocb<LiveFs>, Result<usize>) {
    let ret = end(&mut dio, io);
    let synced = match ret {
        Ok(bytes @ 1..) if dio.state_mut().must_sync() => sync(&Range::of(&dio, bytes), &dio, io),
        _ => Ok(()),
    };
    take_result(dio, ret.and_then(|bytes| synced.map(|()| bytes)))
}

/// Runs a completion that needs nothing, and passes the result to the issuer.
#[inline]
pub(super) fn in_interrupt(mut dio: EndedDio<LiveFs>, _ctx: &InAtomic) {
    let ret = tell_file_system(&mut dio);
    let (kiocb, ret) = take_result(dio, ret);
    kiocb.complete(ret);
}

/// Runs completions of an inode. Writes of an open file that have to be durable share a sync.
pub(super) fn batch(ended: Drain<EndedDio<LiveFs>>, io: &MayIo) {
    let durable = LockLessList::new();
    let mut shared: Option<Range> = None;
    for mut dio in ended {
        match end(&mut dio, io) {
            Ok(bytes @ 1..) if dio.state_mut().must_sync() => {
                let range = Range::of(&dio, bytes);
                shared = Some(shared.map_or(range, |shared| shared.with(&range)));
                dio.state_mut().ended_bytes = bytes;
                durable.push(dio);
            }
            ret => {
                let (kiocb, ret) = take_result(dio, ret);
                kiocb.complete(ret);
            }
        }
    }
    let Some(shared) = shared else {
        return;
    };
    let mut synced = None;
    for dio in durable.take_all() {
        let bytes = dio.state().ended_bytes;
        let result = if shared.file.is_some() {
            *synced.get_or_insert_with(|| sync(&shared, &dio, io))
        } else {
            // Each open file gets errors of its own.
            sync(&Range::of(&dio, bytes), &dio, io)
        };
        let (kiocb, ret) = take_result(dio, result.map(|()| bytes));
        kiocb.complete(ret);
    }
}

/// A range of a file that has to be durable.
#[derive(Clone, Copy)]
struct Range {
    /// The open file, unless there are several.
    file: Option<usize>,
    first: u64,
    last: u64,
    /// Whether all metadata has to be durable.
    full: bool,
}

impl Range {
    /// The `bytes` bytes (at least one) that a write has written.
    fn of(dio: &EndedDio<LiveFs>, bytes: usize) -> Self {
        let kiocb = dio.kiocb();
        let first = kiocb.ki_pos();
        Self {
            file: Some(kiocb.file_id()),
            first,
            last: first + bytes as u64 - 1,
            full: kiocb.is_full_sync(),
        }
    }

    /// The smallest range that has both.
    fn with(self, other: &Self) -> Self {
        Self {
            file: self.file.filter(|_| self.file == other.file),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            full: self.full || other.full,
        }
    }
}

/// Makes a range of the file of `dio` durable.
fn sync(range: &Range, dio: &EndedDio<LiveFs>, io: &MayIo) -> Result {
    dio.kiocb()
        .sync_range(range.first, range.last, range.full, io)
}

/// Does steps 1 to 4. Returns the bytes that have been transferred.
fn end(dio: &mut EndedDio<LiveFs>, io: &MayIo) -> Result<usize> {
    let ret = tell_file_system(dio);
    let (size, error) = {
        let state = dio.state_mut();
        (state.size(), state.error())
    };
    let (kiocb, direction) = (dio.kiocb(), dio.state().direction);
    match error {
        Err(err) => report(kiocb, direction, size, err),
        Ok(()) if direction == Direction::Write && size > 0 && kiocb.has_cached_pages() => {
            kiocb.invalidate_after_write(kiocb.ki_pos(), size as u64, io);
        }
        Ok(()) => (),
    }
    dio.end_dio();
    ret
}

/// Tells the file system that all bios have ended. Returns the bytes of the result, of this request
/// alone.
#[inline]
fn tell_file_system(dio: &mut EndedDio<LiveFs>) -> Result<usize> {
    let (size, error, flags) = {
        let state = dio.state_mut();
        (state.size(), state.error(), state.end_io_flags())
    };
    let (kiocb, state) = (dio.kiocb(), dio.state());
    state.end_io.call(kiocb, size, error, flags)?;
    Ok(reported(kiocb, state.direction, state.file_size, size))
}

/// Completes a request without bios, which has read `ret` zeroes, or failed. Returns the request and
/// the result, of this request alone.
pub(super) fn without_bios(
    mut kiocb: DioKiocb<LiveFs>,
    direction: Direction,
    end_io: EndIoOp,
    file_size: u64,
    ret: Result<usize>,
) -> (DioKiocb<LiveFs>, Result<usize>) {
    let size = ret.unwrap_or(0);
    let told = end_io.call(&kiocb, size, ret.map(|_| ()), EndIoFlags::NONE);
    if let Err(err) = ret {
        report(&kiocb, direction, size, err);
    }
    let ret = told.map(|()| reported(&kiocb, direction, file_size, size));
    if let Ok(bytes) = ret {
        kiocb.advance(bytes);
    }
    (kiocb, ret)
}

/// Reports an error to the watchers of the file system, unless it only makes the caller try again.
fn report(kiocb: &DioKiocb<LiveFs>, direction: Direction, size: usize, err: Error) {
    if err != EAGAIN && err != ENOTBLK {
        let write = direction == Direction::Write;
        kiocb.report_error(write, kiocb.ki_pos(), size as u64, err);
    }
}

/// Returns how many of `size` bytes the issuer gets: those before the end of the file, for a read.
#[inline]
fn reported(kiocb: &DioKiocb<LiveFs>, direction: Direction, file_size: u64, size: usize) -> usize {
    match direction {
        Direction::Write => size,
        Direction::Read => {
            let left = file_size.saturating_sub(kiocb.ki_pos());
            // CAST: The minimum with a `usize` is one.
            left.min(size as u64) as usize
        }
    }
}

/// Frees a request, and returns its kiocb and result.
#[inline]
fn take_result(dio: EndedDio<LiveFs>, ret: Result<usize>) -> (DioKiocb<LiveFs>, Result<usize>) {
    let done_before = dio.state().done_before;
    trace::complete(dio.kiocb(), ret);
    let mut kiocb = dio.into_kiocb();
    kiocb.target().checker.end(&kiocb);
    match ret {
        Ok(bytes @ 1..) => {
            kiocb.advance(bytes);
            (kiocb, Ok(bytes + done_before))
        }
        _ => (kiocb, ret),
    }
}
