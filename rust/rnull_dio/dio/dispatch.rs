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
    engine::Engine,
    files::Files,
    needs::Needs,
    redirty,
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
pub(super) fn dispatch<F: Files>(mut dio: EndedDio<Engine<F>>, ctx: &InAtomic) {
    raise_for_cache(&mut dio);
    if dio.must_redirty() {
        return dispatch_redirty(dio);
    }
    let (arrival, issuer) = arrival_and_issuer(&dio);
    let needs = dio.state_mut().needs();
    let chosen = route(dio.state().policy, needs, arrival, issuer);
    count_route(&dio, needs, (arrival, issuer), chosen);
    if chosen != Route::Worker {
        worker::ended_elsewhere(&dio);
    }
    match chosen {
        Route::Inline => complete::in_interrupt(dio, ctx),
        Route::Reaper => {
            release(&mut dio);
            // A reaper looks at the list without being notified.
            dio.push_to(|engine| &engine.polled);
        }
        Route::Issuer => hand_over(dio),
        // A completer gets no request for the submitter or the waiter.
        Route::Worker | Route::Submitter | Route::Waiter => worker::push(dio),
    }
}

/// Leaves a read whose pages have to be marked dirty to the work item for that.
///
/// Reapers and issuers take no page locks of readers, because the writeback that such a lock waits
/// for may need them.
#[cold]
fn dispatch_redirty<F: Files>(mut dio: EndedDio<Engine<F>>) {
    let needs = dio.state_mut().needs();
    count_route(&dio, needs, (Arrival::Irq, Issuer::Plain), Route::Worker);
    redirty::push(dio);
}

/// Counts and traces the route of a request.
// Hot path: the call would cost more than the body.
#[inline(always)]
pub(super) fn count_route<F: Files>(
    dio: &EndedDio<Engine<F>>,
    needs: Needs,
    (arrival, issuer): (Arrival, Issuer),
    route: Route,
) {
    dio.kiocb().target().stats.routes.inc(route);
    trace::route(
        dio.kiocb(),
        needs as u32,
        arrival as u32,
        issuer as u32,
        dio.state().policy as u32,
        route as u32,
    );
}

/// Raises the needs of a write if the page cache has pages that the write has made stale.
///
/// A page that is added after this has been read after the write.
#[inline]
fn raise_for_cache<F: Files>(dio: &mut EndedDio<Engine<F>>) {
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

/// Returns where a request has arrived, and the kind of its issuer. If only an interrupt or the
/// worker may complete the request, returns those that lead there.
#[inline]
fn arrival_and_issuer<F: Files>(dio: &EndedDio<Engine<F>>) -> (Arrival, Issuer) {
    // Reapers and most issuers run completions of requests that are not counted any more. Also if
    // the issuer polls: what needs nothing is completed at once, and all else must not wait for a
    // reaper, which may be waiting for the count to be zero.
    if F::COUNTED {
        let issuer = if dio.issuer_waits() {
            Issuer::Defers
        } else {
            Issuer::Plain
        };
        return (Arrival::Irq, issuer);
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
fn release<F: Files>(dio: &mut EndedDio<Engine<F>>) {
    // Builds that keep one of them exist for tests, which must see the deadlock.
    if !cfg!(rnull_dio_keep_dio_count) {
        dio.end_dio();
    }
    if !cfg!(rnull_dio_keep_write_count) {
        dio.end_write();
    }
}

/// Hands a request over to its issuer, or to the worker if the issuer cannot take it.
fn hand_over<F: Files>(mut dio: EndedDio<Engine<F>>) {
    // Those that are counted are handed over to a task that waits for nothing but results, and so
    // not for the counts.
    if !F::COUNTED {
        release(&mut dio);
    }
    if dio.issuer_is_native() {
        dio.kiocb().target().stats.events.inc(Event::Native);
    }
    if let Err((dio, err)) = dio.hand_over() {
        refused(dio, err);
    }
}

/// Queues a request for the worker that its issuer has refused because of `err`. Any context.
pub(super) fn refused<F: Files>(dio: EndedDio<Engine<F>>, err: Error) {
    trace::refused(dio.kiocb(), err);
    dio.kiocb().target().stats.count_refused();
    worker::push_refused(dio);
}
