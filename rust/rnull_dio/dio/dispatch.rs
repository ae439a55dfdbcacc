// SPDX-License-Identifier: GPL-2.0

//! Sending a request to the context that runs the rest of its completion.

use kernel::prelude::*;

use kernel_ext::{
    context::InAtomic,
    dio::{
        trace,
        EndedDio, //
    },
};

use super::{
    complete,
    file::{
        DioFile,
        EndIoHook,
        File, //
    },
    needs::Needs,
    range::Direction,
    route::{
        route,
        Arrival,
        Issuer,
        Route, //
    },
    stats::Event,
    worker, //
};

/// Sends a request of which all bios have ended to the context that runs the rest of its
/// completion.
#[inline]
pub(super) fn dispatch<F: DioFile>(mut dio: EndedDio<File<F>>, ctx: &InAtomic) {
    raise_for_cache(&mut dio);
    let (arrival, issuer) = arrival_and_issuer(&dio);
    let route = choose_route(&mut dio, arrival, issuer);
    if route != Route::Worker {
        worker::ended_elsewhere(&dio);
    }
    match route {
        Route::Inline => complete::in_interrupt(dio, ctx),
        Route::Reaper => {
            release(&mut dio);
            // A reaper looks at the list without being notified.
            dio.push_to(|file| &file.engine().polled);
        }
        Route::Issuer => hand_over(dio),
        // A completer gets no request for the submitter or the waiter.
        Route::Worker | Route::Submitter | Route::Waiter => worker::push(dio),
    }
}

/// Decides the route of a request, and counts it.
// Hot path: the call would cost more than the body.
#[inline(always)]
pub(super) fn choose_route<F: DioFile>(
    dio: &mut EndedDio<File<F>>,
    arrival: Arrival,
    issuer: Issuer,
) -> Route {
    let needs = dio.state_mut().needs();
    let policy = dio.state().policy;
    let route = route(policy, needs, arrival, issuer);
    dio.kiocb().target().engine().stats.routes.inc(route);
    trace::route(
        dio.kiocb(),
        needs as u32,
        arrival as u32,
        issuer as u32,
        policy as u32,
        route as u32,
    );
    route
}

/// Raises the needs of a write if the page cache has pages that the write has made stale.
///
/// A page that is added after this has been read after the write.
#[inline]
fn raise_for_cache<F: DioFile>(dio: &mut EndedDio<File<F>>) {
    if dio.state().direction == Direction::Read || dio.state_mut().needs() != Needs::Nothing {
        return;
    }
    let (state, kiocb) = (dio.state(), dio.kiocb());
    if !kiocb.has_cached_pages() {
        return;
    }
    if state.policy.needs_task_for_any_cached_page()
        || kiocb.has_cached_pages_in(state.pos, state.reported_bytes as u64)
    {
        state.raise_to_task();
    }
}

/// Returns where a request has arrived, and the kind of its issuer. If only a work item may complete
/// the request, returns those that lead to the worker.
#[inline]
fn arrival_and_issuer<F: DioFile>(dio: &EndedDio<File<F>>) -> (Arrival, Issuer) {
    // Reapers and issuers run completions of requests that are not counted any more. They take no
    // page locks of readers either, because the writeback that such a lock waits for may need them.
    if F::END_IO == EndIoHook::Counted || dio.must_redirty() {
        return (Arrival::Irq, Issuer::Plain);
    }
    let arrival = if dio.was_polled() {
        Arrival::Polled
    } else {
        Arrival::Irq
    };
    let issuer = if dio.issuer_defers() {
        Issuer::Defers
    } else {
        Issuer::Plain
    };
    (arrival, issuer)
}

/// Drops the counts that the task which is going to complete the request may be sleeping for:
/// `i_dio_count` in `inode_dio_wait()`, and the write count of the super block in `freeze_super()`.
#[inline]
fn release<F: DioFile>(dio: &mut EndedDio<File<F>>) {
    // Builds that keep one of them exist for tests, which must see the deadlock.
    if !cfg!(rnull_dio_keep_dio_count) {
        dio.end_dio();
    }
    if !cfg!(rnull_dio_keep_write_count) {
        dio.end_write();
    }
}

/// Hands a request over to its issuer, or to the worker if the issuer cannot take it.
fn hand_over<F: DioFile>(mut dio: EndedDio<File<F>>) {
    release(&mut dio);
    if dio.issuer_is_native() {
        dio.kiocb()
            .target()
            .engine()
            .stats
            .events
            .inc(Event::Native);
    }
    if let Err((dio, err)) = dio.hand_over() {
        refused(dio, err);
    }
}

/// Queues a request for the worker that its issuer has refused because of `err`. Any context.
pub(super) fn refused<F: DioFile>(dio: EndedDio<File<F>>, err: Error) {
    trace::refused(dio.kiocb(), err);
    dio.kiocb().target().engine().stats.count_refused();
    worker::push_refused(dio);
}
