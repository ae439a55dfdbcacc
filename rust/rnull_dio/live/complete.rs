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
};

use crate::dio::{
    Direction,
    Needs, //
};

use super::{
    fs::LiveFs,
    sync_range::SyncRange, //
};

/// Runs a completion in the task that has submitted it. Returns the request and the result.
#[inline]
pub(super) fn in_issuer(
    dio: EndedDio<LiveFs>,
    needs: Needs,
    io: &MayIo,
) -> (DioKiocb<LiveFs>, Result<usize>) {
    if needs == Needs::Nothing && !may_be_stale(&dio) {
        without_needs(dio)
    } else {
        in_task(dio, io)
    }
}

/// Runs a completion that needs nothing. Returns the request and the result.
#[inline]
fn without_needs(mut dio: EndedDio<LiveFs>) -> (DioKiocb<LiveFs>, Result<usize>) {
    let ret = tell_file_system(&mut dio);
    take_result(dio, ret, Ok(()))
}

/// Returns whether the page cache may have pages that a request has made stale.
#[inline]
pub(super) fn may_be_stale(dio: &EndedDio<LiveFs>) -> bool {
    dio.state().direction == Direction::Write && dio.kiocb().has_cached_pages()
}

/// Runs a completion in a task. Returns the request and the result, for the issuer.
#[cold]
pub(super) fn in_task(mut dio: EndedDio<LiveFs>, io: &MayIo) -> (DioKiocb<LiveFs>, Result<usize>) {
    let ret = end(&mut dio, io);
    let synced = match ret {
        Ok(bytes @ 1..) if dio.state_mut().must_sync() => SyncRange::of(&dio, bytes).sync(&dio, io),
        _ => Ok(()),
    };
    take_result(dio, ret, synced)
}

/// Runs a completion that needs nothing, and passes the result to the issuer.
#[inline]
pub(super) fn in_interrupt(dio: EndedDio<LiveFs>, _ctx: &InAtomic) {
    let (kiocb, ret) = without_needs(dio);
    kiocb.complete(ret);
}

/// Does steps 1 to 4. Returns the bytes of the result, of this request alone.
pub(super) fn end(dio: &mut EndedDio<LiveFs>, io: &MayIo) -> Result<usize> {
    let ret = tell_file_system(dio);
    end_told(dio, io);
    ret
}

/// Does steps 2 to 4.
pub(super) fn end_told(dio: &mut EndedDio<LiveFs>, io: &MayIo) {
    let (size, error) = {
        let state = dio.state_mut();
        (state.size(), state.error())
    };
    let (kiocb, direction) = (dio.kiocb(), dio.state().direction);
    match error {
        Err(err) => report(kiocb, direction, size, err),
        Ok(()) if size > 0 && may_be_stale(dio) => {
            kiocb.invalidate_after_write(kiocb.ki_pos(), size as u64, io);
        }
        Ok(()) => (),
    }
    dio.end_dio();
}

/// Tells the file system that all bios have ended. Returns the bytes of the result, of this request
/// alone.
#[inline(always)]
fn tell_file_system(dio: &mut EndedDio<LiveFs>) -> Result<usize> {
    let size = dio.state_mut().size();
    tell_file_system_of(dio, size)?;
    let (kiocb, state) = (dio.kiocb(), dio.state());
    Ok(reported(kiocb, state.direction, state.file_size, size))
}

/// Tells the file system that all bios have ended for `size` bytes from the position of a request
/// on, which are those of the request, or of some contiguous ones.
#[inline(always)]
pub(super) fn tell_file_system_of(dio: &mut EndedDio<LiveFs>, size: usize) -> Result {
    let (error, flags) = {
        let state = dio.state_mut();
        (state.error(), state.end_io_flags())
    };
    dio.state().end_io.call(dio.kiocb(), size, error, flags)
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
#[inline(always)]
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

/// Frees a request, which has transferred what `ret` says and been synced as `synced` says. Returns
/// its kiocb and result.
// Hot path: the call would cost more than the body.
#[inline(always)]
pub(super) fn take_result(
    dio: EndedDio<LiveFs>,
    ret: Result<usize>,
    synced: Result,
) -> (DioKiocb<LiveFs>, Result<usize>) {
    let done_before = dio.state().done_before;
    trace::complete(dio.kiocb(), ret);
    let mut kiocb = dio.into_kiocb();
    kiocb.target().checker.end(&kiocb);
    match ret {
        Ok(bytes @ 1..) => {
            kiocb.advance(bytes);
            (kiocb, synced.map(|()| bytes + done_before))
        }
        _ => (kiocb, ret),
    }
}
