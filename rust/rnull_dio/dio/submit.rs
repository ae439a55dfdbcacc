// SPDX-License-Identifier: GPL-2.0

//! Submitting the bios of a request.

use kernel::prelude::*;

use kernel_ext::{
    block::plug::with_plug,
    context::{
        MayIo,
        MaySleep, //
    },
    dio::{
        trace,
        DioKiocb,
        FilledDio,
        SubmitRef, //
    },
    fs::{
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

use super::{
    complete,
    dispatch::choose_route,
    file::{
        DioFile,
        File, //
    },
    plan::Plan,
    range::Direction,
    route::{
        Arrival,
        Issuer,
        Route, //
    },
    worker, //
};

/// Reads or writes. Sleeps, unless the kiocb forbids it.
///
/// The issuer gets the number of bytes transferred, or
///
/// - `EINVAL`: position, length or memory is not aligned as the device demands.
/// - `EFAULT`: the memory cannot be accessed.
/// - `ENOSPC`: a write begins behind the end of the file.
/// - `EAGAIN`: the request must not sleep, and would.
/// - `ENOTBLK`: the page cache could not be emptied, so a write has to go through it. Nothing has
///   been written.
/// - the error of the device, or of the file's mapping.
pub(crate) fn submit<F: DioFile>(
    direction: Direction,
    kiocb: Kiocb<File<F>>,
    iter: &mut RawIovIter<'_>,
    io: &MayIo,
) -> Issued<File<F>> {
    let mut kiocb = DioKiocb::new(kiocb);
    let plan = match Plan::new(direction, &mut kiocb, iter, io) {
        Ok(Some(plan)) => plan,
        Ok(None) => return Issued::Done(kiocb.into_kiocb(), Ok(0)),
        Err(err) => return Issued::Done(kiocb.into_kiocb(), Err(err)),
    };
    kiocb.target().engine().checker.begin(&kiocb);
    // A read of the last block may transfer more than it reports. The iterator is not accessed once
    // the submitter's reference is dropped, because the issuer may free it then.
    let submitter = iter.with_progress_of(plan.range.reported_bytes, |iter| {
        plan.first_bio(kiocb, iter, io)
            .map(|dio| submit_bios(dio, iter, &plan, io))
    });
    match submitter {
        Ok(submitter) => finish(submitter, io),
        Err((kiocb, err)) => {
            kiocb.target().engine().checker.end(&kiocb);
            Issued::Done(kiocb.into_kiocb(), Err(err))
        }
    }
}

/// Submits the first bio, and as many more as the request needs.
#[inline]
fn submit_bios<F: DioFile>(
    dio: FilledDio<File<F>>,
    iter: &mut RawIovIter<'_>,
    plan: &Plan,
    ctx: &MaySleep,
) -> SubmitRef<File<F>> {
    if dio.state().is_grouped {
        dio.kiocb().target().worker().group.submit();
    }
    let write = plan.direction == Direction::Write;
    trace::submit(dio.kiocb(), plan.range.transfer, write, plan.needs as u32);
    let done = dio.bytes();
    if done == plan.range.transfer {
        return dio.submit();
    }
    with_plug(|| {
        let submitter = dio.submit();
        if let Err(err) = submit_tails(&submitter, iter, plan, done, ctx) {
            submitter.state().fail(err);
        }
        submitter
    })
}

/// Submits the rest of a request, from `done` bytes behind its start on. Stops when the request has
/// failed, because the issuer gets the error in any case.
fn submit_tails<F: DioFile>(
    submitter: &SubmitRef<File<F>>,
    iter: &mut RawIovIter<'_>,
    plan: &Plan,
    mut done: usize,
    ctx: &MaySleep,
) -> Result {
    while done < plan.range.transfer && !submitter.state().has_failed() {
        let tail = plan.next_bio(submitter, iter, done, ctx)?;
        done += tail.bytes();
        tail.submit();
    }
    Ok(())
}

/// Drops the submitter's reference, and completes the request if the submitter has to.
#[inline]
fn finish<F: DioFile>(submitter: SubmitRef<File<F>>, io: &MayIo) -> Issued<File<F>> {
    let arrival = if submitter.kiocb().is_sync() {
        Arrival::Sync
    } else {
        Arrival::Submitter
    };
    let Some(mut dio) = submitter.finish() else {
        return Issued::Queued;
    };
    if choose_route(&mut dio, arrival, Issuer::Plain) == Route::Worker {
        worker::push(dio);
        return Issued::Queued;
    }
    worker::ended_elsewhere(&dio);
    let (kiocb, ret) = complete::with_io(dio, io);
    Issued::Done(kiocb.into_kiocb(), ret)
}
