// SPDX-License-Identifier: GPL-2.0

//! Reading and writing: from the file system's call to the result, or to the bios in flight.

use kernel::prelude::*;

use kernel_ext::{
    context::MayIo,
    dio::{
        DioCall,
        DioKiocb,
        EndedDio,
        SubmitRef,
        Taken, //
    },
    fs::{
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

use super::{
    complete,
    dispatch::count_route,
    engine::Engine,
    files::Files,
    passed::{
        reason,
        Reason, //
    },
    plan::Plan,
    redirty,
    route::{
        Arrival,
        Issuer,
        Route, //
    },
    submit::Submitted,
    worker, //
};

/// Reads or writes, or passes the request on. Sleeps, unless the kiocb forbids it.
///
/// The issuer gets what `iomap_dio_rw()` returns.
// Hot path: values are moved between these functions otherwise.
#[inline(always)]
pub(super) fn rw<F: Files>(
    kiocb: Kiocb<Engine<F>>,
    iter: &mut RawIovIter<'_>,
    call: &DioCall<'_>,
    io: &MayIo,
) -> Taken<Engine<F>> {
    if let Some(reason) = reason(&kiocb, iter, call) {
        return pass(kiocb, reason);
    }
    let plan = Plan::new(&kiocb, iter, call);
    let mut kiocb = DioKiocb::new(kiocb);
    match plan.begin(&mut kiocb, io) {
        Ok(true) => (),
        Ok(false) => return Taken::Issued(Issued::Done(kiocb.into_kiocb(), Ok(0))),
        Err(err) => return Taken::Issued(Issued::Done(kiocb.into_kiocb(), Err(err))),
    }
    // A read of the last block may transfer more than it reports. The iterator is not accessed once
    // the submitter's reference is dropped, because the issuer may free it then.
    let reported = plan.reported;
    match iter.with_progress_of(reported, |iter| plan.submit(kiocb, iter, io)) {
        Submitted::Passed(kiocb, reason) => pass(kiocb.into_kiocb(), reason),
        Submitted::WithoutBios(kiocb, ret) => without_bios(kiocb, ret, &plan),
        Submitted::InFlight(submitter, wait) => Taken::Issued(finish(submitter, wait, io)),
    }
}

fn pass<F: Files>(kiocb: Kiocb<Engine<F>>, reason: Reason) -> Taken<Engine<F>> {
    kiocb.target().stats.passed.inc(reason);
    Taken::Passed(kiocb)
}

/// Completes a request without bios.
#[cold]
fn without_bios<F: Files>(
    kiocb: DioKiocb<Engine<F>>,
    ret: Result<usize>,
    plan: &Plan<'_>,
) -> Taken<Engine<F>> {
    let (kiocb, ret) =
        complete::without_bios(kiocb, plan.call, plan.direction, plan.file_size, ret);
    let ret = match ret {
        Ok(bytes @ 1..) => Ok(bytes + plan.call.done_before()),
        ret => ret,
    };
    Taken::Issued(Issued::Done(kiocb.into_kiocb(), ret))
}

/// Returns whether a request is a write that can share a sync with others. One that has failed needs
/// none, and its issuer may try again if it gets the error from its submission.
#[inline]
fn is_grouped_for_sync<F: Files>(dio: &mut EndedDio<Engine<F>>) -> bool {
    dio.state().is_grouped && dio.state_mut().must_sync() && !dio.state().has_failed()
}

/// Drops the submitter's reference, and completes the request if the submitter has to.
// Hot path, as `rw`.
#[inline(always)]
fn finish<F: Files>(submitter: SubmitRef<Engine<F>>, wait: bool, io: &MayIo) -> Issued<Engine<F>> {
    let (mut dio, arrival, route) = if wait {
        let dio = submitter.finish_and_wait(io);
        (dio, Arrival::Sync, Route::Waiter)
    } else {
        match submitter.finish() {
            Some(dio) => (dio, Arrival::Submitter, Route::Submitter),
            None => return Issued::Queued,
        }
    };
    let needs = dio.state_mut().needs();
    if arrival == Arrival::Submitter && is_grouped_for_sync(&mut dio) {
        // The worker can share the sync.
        count_route(&dio, needs, (arrival, Issuer::Plain), Route::Worker);
        worker::push(dio);
        return Issued::Queued;
    }
    count_route(&dio, needs, (arrival, Issuer::Plain), route);
    worker::ended_elsewhere(&dio);
    if dio.must_redirty() {
        if arrival == Arrival::Submitter {
            // The submission may be one that must not sleep.
            redirty::push(dio);
            return Issued::Queued;
        }
        redirty::redirty(&mut dio, io);
    }
    let (kiocb, ret) = complete::in_submitter(dio, needs, io);
    Issued::Done(kiocb.into_kiocb(), ret)
}
