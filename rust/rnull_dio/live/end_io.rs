// SPDX-License-Identifier: GPL-2.0

//! Collecting the bios of a request, and choosing the context that runs the rest of its completion.

use kernel_ext::{
    context::InAtomic,
    dio::{
        trace,
        EndedBio,
        EndedDio,
        LastRef, //
    },
};

use crate::dio::{
    route,
    Arrival,
    Issuer,
    Needs,
    Route, //
};

use super::{
    complete,
    fs::LiveFs,
    worker, //
};

/// Collects a bio that has ended. The last one dispatches its request.
#[inline]
pub(super) fn end_io(bio: EndedBio<LiveFs>, ctx: &InAtomic) {
    trace::bio_end(&bio);
    if let Err(err) = bio.result() {
        bio.dio().state().fail(err);
    }
    let last = if bio.must_redirty() {
        bio.finish_with_pages(worker::push_redirty_bio)
    } else {
        bio.finish()
    };
    match last {
        LastRef::Shared | LastRef::Waiter => (),
        LastRef::Completer(dio) => dispatch(dio, ctx),
    }
}

/// Sends a request of which all bios have ended to the context that runs the rest of its
/// completion.
#[inline]
fn dispatch(mut dio: EndedDio<LiveFs>, ctx: &InAtomic) {
    raise_for_cache(&mut dio);
    let needs = dio.state_mut().needs();
    if dio.must_redirty() {
        count_route(&dio, needs, Arrival::Irq, Route::Worker);
        return worker::push_redirty(dio);
    }
    // Also if the issuer polls for it: what needs nothing is completed at once, and all else must
    // not wait for a reaper, which may be waiting for `i_dio_count` to be zero.
    let chosen = route(dio.state().policy, needs, Arrival::Irq, Issuer::Plain);
    count_route(&dio, needs, Arrival::Irq, chosen);
    match chosen {
        Route::Inline => complete::in_interrupt(dio, ctx),
        _ => worker::push(dio),
    }
}

/// Counts and traces the route of a request.
#[inline]
pub(super) fn count_route(dio: &EndedDio<LiveFs>, needs: Needs, arrival: Arrival, route: Route) {
    dio.kiocb().target().stats.routes.inc(route);
    trace::route(
        dio.kiocb(),
        needs as u32,
        arrival as u32,
        Issuer::Plain as u32,
        dio.state().policy as u32,
        route as u32,
    );
}

/// Raises the needs of a write if the page cache has pages that the write has made stale.
///
/// A page that is added after this has been read after the write.
#[inline]
fn raise_for_cache(dio: &mut EndedDio<LiveFs>) {
    if !complete::may_be_stale(dio) || dio.state_mut().needs() != Needs::Nothing {
        return;
    }
    let size = dio.state_mut().size() as u64;
    if dio.state().policy.needs_task_for_any_cached_page()
        || dio.kiocb().has_cached_pages_in(dio.kiocb().ki_pos(), size)
    {
        dio.state_mut().raise_to_task();
    }
}
