// SPDX-License-Identifier: GPL-2.0

//! The part of a completion that runs after dispatch.

use kernel::prelude::*;

use kernel_ext::{
    context::{
        InAtomic,
        MayIo,
        MaySleep, //
    },
    dio::{
        trace,
        DioKiocb,
        EndedDio, //
    },
};

use super::{
    file::{
        DioFile,
        EndIoHook,
        File, //
    },
    needs::Needs,
    range::Direction,
    request::DioState, //
};

/// Runs a completion that needs no I/O. Returns the request and the result, for the issuer.
pub(super) fn in_task<F: DioFile>(
    mut dio: EndedDio<File<F>>,
    ctx: &MaySleep,
) -> (DioKiocb<File<F>>, Result<usize>) {
    debug_assert!(
        !must_flush(dio.state_mut()),
        "a flush was left to a context that does no I/O"
    );
    after_flush(dio, Ok(()), ctx)
}

/// Runs a completion of any needs, and flushes the device's cache itself. Returns the request and
/// the result, for the issuer.
pub(super) fn with_io<F: DioFile>(
    mut dio: EndedDio<File<F>>,
    io: &MayIo,
) -> (DioKiocb<File<F>>, Result<usize>) {
    let flushed = if must_flush(dio.state_mut()) {
        dio.kiocb().target().engine().device.issue_flush(io)
    } else {
        Ok(())
    };
    after_flush(dio, flushed, io)
}

/// Runs a completion that needs nothing, and passes the result to the issuer.
#[inline]
pub(super) fn in_interrupt<F: DioFile>(dio: EndedDio<File<F>>, _ctx: &InAtomic) {
    without_needs(dio);
}

/// As [`in_interrupt`], in any context.
#[inline]
pub(super) fn without_needs<F: DioFile>(dio: EndedDio<File<F>>) {
    let (kiocb, ret) = take_result(dio);
    kiocb.complete(ret);
}

/// Returns whether the request needs the device's cache to be flushed.
pub(super) fn must_flush(dio: &mut DioState) -> bool {
    dio.needs() == Needs::Io
}

/// Runs a completion after a flush that began when the data was on the device, and whose result is
/// `flushed`; or a completion that needs no flush.
// Hot path: the call would cost more than the body.
#[inline(always)]
pub(super) fn after_flush<F: DioFile>(
    mut dio: EndedDio<File<F>>,
    flushed: Result,
    ctx: &MaySleep,
) -> (DioKiocb<File<F>>, Result<usize>) {
    if let Err(err) = flushed {
        dio.state().fail(err);
    }
    let DioState {
        direction,
        pos,
        reported_bytes,
        ..
    } = *dio.state();
    match direction {
        Direction::Read if dio.must_redirty() => redirty(&mut dio, ctx),
        Direction::Read => (),
        Direction::Write => {
            // A page that was read into the cache during the write may have the data from before,
            // or of a part of a write that has failed.
            if dio.kiocb().has_cached_pages() {
                dio.kiocb()
                    .invalidate_after_write(pos, reported_bytes as u64, ctx);
            }
        }
    }
    if F::END_IO != EndIoHook::None {
        if let Err(err) = dio.kiocb().target().inner.end_io(dio.state(), ctx) {
            dio.state().fail(err);
        }
    }
    take_result(dio)
}

/// Drops the count in `i_dio_count` of a read whose pages have to be marked dirty, unless the file's
/// hook relies on it. Any context.
///
/// The lock of such a page may be held until a writeback is over that itself waits for a task which
/// excludes direct I/O from this file. The pages are not those of the file.
pub(super) fn end_dio_of_read<F: DioFile>(dio: &mut EndedDio<File<F>>) {
    if F::END_IO != EndIoHook::Counted {
        dio.end_dio();
    }
}

/// Marks the pages dirty that a writeback has cleaned while the device wrote to them, because the
/// writeback may have missed data.
#[cold]
fn redirty<F: DioFile>(dio: &mut EndedDio<File<F>>, ctx: &MaySleep) {
    end_dio_of_read(dio);
    dio.redirty_pages(ctx);
}

/// Frees a request, and returns its kiocb and result.
// Hot path: the call would cost more than the body.
#[inline(always)]
fn take_result<F: DioFile>(mut dio: EndedDio<File<F>>) -> (DioKiocb<File<F>>, Result<usize>) {
    let ret = dio.state_mut().result();
    trace::complete(dio.kiocb(), ret);
    let mut kiocb = dio.into_kiocb();
    kiocb.target().engine().checker.end(&kiocb);
    if let Ok(bytes) = ret {
        kiocb.advance(bytes);
    }
    (kiocb, ret)
}
