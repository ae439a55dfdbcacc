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
        MayIo,
        MaySleep, //
    },
    dio::{
        trace,
        DioCall,
        DioKiocb,
        EndIoFlags,
        EndedDio, //
    },
};

use super::{
    direction::Direction,
    engine::Engine,
    files::Files,
    needs::Needs,
    sync_range::SyncRange, //
};

/// A request that is over, and its result.
type Over<F> = (DioKiocb<Engine<F>>, Result<usize>);

/// Runs a completion in the task that has submitted it. Returns the request and the result, for the
/// issuer.
// Hot path, as `rw`.
#[inline(always)]
pub(super) fn in_submitter<F: Files>(
    dio: EndedDio<Engine<F>>,
    needs: Needs,
    io: &MayIo,
) -> Over<F> {
    if needs == Needs::Nothing && !may_be_stale(&dio) {
        without_needs(dio)
    } else {
        with_io(dio, io)
    }
}

/// Runs a completion that needs nothing. Returns the request and the result.
#[inline(always)]
fn without_needs<F: Files>(mut dio: EndedDio<Engine<F>>) -> Over<F> {
    let ret = tell_file_system(&mut dio);
    take_result(dio, ret, Ok(()))
}

/// Returns whether the page cache may have pages that a request has made stale.
#[inline]
pub(super) fn may_be_stale<F: Files>(dio: &EndedDio<Engine<F>>) -> bool {
    dio.state().direction == Direction::Write && dio.kiocb().has_cached_pages()
}

/// Runs a completion that needs no I/O. Returns the request and the result, for the issuer.
pub(super) fn in_task<F: Files>(mut dio: EndedDio<Engine<F>>, ctx: &MaySleep) -> Over<F> {
    debug_assert!(
        dio.state_mut().needs() != Needs::Io,
        "I/O was left to a context that does none"
    );
    let ret = end(&mut dio, ctx);
    take_result(dio, ret, Ok(()))
}

/// Runs a completion of any needs. Returns the request and the result, for the issuer.
#[cold]
pub(super) fn with_io<F: Files>(mut dio: EndedDio<Engine<F>>, io: &MayIo) -> Over<F> {
    let ret = end(&mut dio, io);
    let synced = match ret {
        Ok(bytes @ 1..) if dio.state_mut().must_sync() => SyncRange::of(&dio, bytes).sync(&dio, io),
        _ => Ok(()),
    };
    take_result(dio, ret, synced)
}

/// Runs a completion that needs nothing, and passes the result to the issuer.
#[inline]
pub(super) fn in_interrupt<F: Files>(dio: EndedDio<Engine<F>>, _ctx: &InAtomic) {
    at_once(dio);
}

/// As [`in_interrupt`], in any context.
#[inline]
pub(super) fn at_once<F: Files>(dio: EndedDio<Engine<F>>) {
    let (kiocb, ret) = without_needs(dio);
    kiocb.complete(ret);
}

/// Does steps 1 to 4. Returns the bytes of the result, of this request alone.
pub(super) fn end<F: Files>(dio: &mut EndedDio<Engine<F>>, ctx: &MaySleep) -> Result<usize> {
    let ret = tell_file_system(dio);
    end_told(dio, ctx);
    ret
}

/// Does steps 2 to 4.
pub(super) fn end_told<F: Files>(dio: &mut EndedDio<Engine<F>>, ctx: &MaySleep) {
    let (size, error) = {
        let state = dio.state_mut();
        (state.size(), state.error())
    };
    let (kiocb, direction) = (dio.kiocb(), dio.state().direction);
    if let Err(err) = error {
        report(kiocb, direction, size, err);
    }
    // Also if only a part was written. A device returns EAGAIN if it would have to be waited for.
    // In files that are not counted, only a request of one bio asks for that, so nothing was
    // written; and its submission must not sleep here, either.
    let refused = !F::COUNTED && error == Err(EAGAIN);
    if size > 0 && may_be_stale(dio) && !refused {
        kiocb.invalidate_after_write(kiocb.ki_pos(), size as u64, ctx);
    }
    dio.end_dio();
}

/// Tells the file system that all bios have ended. Returns the bytes of the result, of this request
/// alone.
#[inline(always)]
fn tell_file_system<F: Files>(dio: &mut EndedDio<Engine<F>>) -> Result<usize> {
    let size = dio.state_mut().size();
    tell_file_system_of(dio, size)?;
    let (kiocb, state) = (dio.kiocb(), dio.state());
    Ok(reported(kiocb, state.direction, state.file_size, size))
}

/// Tells the file system that all bios have ended for `size` bytes from the position of a request
/// on, which are those of the request, or of some contiguous ones.
#[inline(always)]
pub(super) fn tell_file_system_of<F: Files>(dio: &mut EndedDio<Engine<F>>, size: usize) -> Result {
    let (error, flags) = {
        let state = dio.state_mut();
        (state.error(), state.end_io_flags())
    };
    dio.call_end_io(size, error, flags)
}

/// Completes a request without bios, which has read `ret` zeroes, or failed. Returns the request and
/// the result, of this request alone.
pub(super) fn without_bios<F: Files>(
    mut kiocb: DioKiocb<Engine<F>>,
    call: &DioCall<'_>,
    direction: Direction,
    file_size: u64,
    ret: Result<usize>,
) -> Over<F> {
    let size = ret.unwrap_or(0);
    let told = call.end(&kiocb, size, ret.map(|_| ()), EndIoFlags::NONE);
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
fn report<F: Files>(kiocb: &DioKiocb<Engine<F>>, direction: Direction, size: usize, err: Error) {
    if err != EAGAIN && err != ENOTBLK {
        let write = direction == Direction::Write;
        kiocb.report_error(write, kiocb.ki_pos(), size as u64, err);
    }
}

/// Returns how many of `size` bytes the issuer gets: those before the end of the file, for a read.
#[inline(always)]
fn reported<F: Files>(
    kiocb: &DioKiocb<Engine<F>>,
    direction: Direction,
    file_size: u64,
    size: usize,
) -> usize {
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
pub(super) fn take_result<F: Files>(
    dio: EndedDio<Engine<F>>,
    ret: Result<usize>,
    synced: Result,
) -> Over<F> {
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
