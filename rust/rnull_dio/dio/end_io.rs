// SPDX-License-Identifier: GPL-2.0

//! The end of bios, in whatever context that is.

use kernel::prelude::*;

use kernel_ext::{
    block::bio::{
        EndedBio,
        EndedHead,
        LastRef, //
    },
    context::Irq,
    trace, //
};

use super::{
    complete,
    range::Direction,
    route::{
        route,
        Arrival,
        Issuer,
        Needs,
        Route, //
    },
    stats::Event,
    worker,
    DioFile,
    OwnPart, //
};

/// Collects a bio; the last one sends its request on its way.
pub(crate) fn end_io<F: DioFile>(bio: EndedBio<F>, irq: &Irq) {
    trace::bio_end(&bio);
    let dio = bio.head().data();
    if let Err(err) = bio.result() {
        dio.fail(err);
    }
    let last = if bio.must_redirty() {
        dio.raise_to_task();
        bio.finish_without_pages(worker::push_redirty)
    } else {
        bio.finish()
    };
    match last {
        LastRef::Shared | LastRef::Waiter => (),
        LastRef::Completer(head) => dispatch(head, irq),
    }
}

/// Sends a request to whoever may run the rest of its completion.
fn dispatch<F: DioFile>(mut head: EndedHead<F>, irq: &Irq) {
    raise_for_cache(&mut head);
    let (arrival, issuer) = circumstances(&head);
    let route = choose_route(&mut head, arrival, issuer);
    if route != Route::Worker {
        worker::not_for(&head);
    }
    match route {
        Route::Inline => complete::in_interrupt(head, irq),
        Route::Reaper => {
            end_dio(&mut head);
            // Whoever polls looks without being told.
            head.push_to(|file| &file.engine().polled);
        }
        Route::Issuer => hand_over(head),
        // The other two are not for a completer.
        Route::Worker | Route::Submitter | Route::Waiter => worker::push(head),
    }
}

/// Decides who runs the rest of a completion, and counts it.
// Most requests pass by here, with less to do than a call costs.
#[inline(always)]
pub(super) fn choose_route<F: DioFile>(
    head: &mut EndedHead<F>,
    arrival: Arrival,
    issuer: Issuer,
) -> Route {
    let needs = head.data_mut().needs();
    let policy = head.data().policy;
    let route = route(policy, needs, arrival, issuer);
    head.kiocb().target().engine().stats.count_route(route);
    trace::route(
        head.kiocb(),
        needs as u32,
        arrival as u32,
        issuer as u32,
        policy as u32,
        route as u32,
    );
    route
}

/// Raises the needs of a write if the cache has got pages that it must not keep.
///
/// A page that comes after this has been read after the write.
fn raise_for_cache<F: DioFile>(head: &mut EndedHead<F>) {
    if head.data().direction == Direction::Read || head.data_mut().needs() != Needs::Nothing {
        return;
    }
    let (dio, kiocb) = (head.data(), head.kiocb());
    if !kiocb.has_cached_pages() {
        return;
    }
    if dio.policy.minds_whole_file() || kiocb.has_cached_pages_in(dio.pos, dio.report as u64) {
        dio.raise_to_task();
    }
}

/// Where a request has arrived, and whose it is, as far as its file leaves it to them.
fn circumstances<F: DioFile>(head: &EndedHead<F>) -> (Arrival, Issuer) {
    // Reapers and issuers finish requests that are not counted any more.
    if F::OWN_PART == OwnPart::Counted {
        return (Arrival::Irq, Issuer::Plain);
    }
    let arrival = if head.was_polled() {
        Arrival::Polled
    } else {
        Arrival::Irq
    };
    let issuer = if head.issuer_defers() {
        Issuer::Defers
    } else {
        Issuer::Plain
    };
    (arrival, issuer)
}

/// Drops the `i_dio_count` of a request that is going to be finished by its issuer's task, in place
/// of which that task may wait for the count to drop.
fn end_dio<F: DioFile>(head: &mut EndedHead<F>) {
    // A build with this is there to show that the tests notice.
    if !cfg!(rnull_dio_keep_dio_count) {
        head.end_dio();
    }
}

/// Lets the issuer finish a request, or the worker if the issuer cannot.
fn hand_over<F: DioFile>(mut head: EndedHead<F>) {
    end_dio(&mut head);
    if head.issuer_is_native() {
        head.kiocb().target().engine().stats.count(Event::Native);
    }
    if let Err((head, err)) = head.hand_over() {
        refused(head, err);
    }
}

/// Lets the worker finish a request that was meant for its issuer, who did not take it because of
/// `err`. Any context.
pub(crate) fn refused<F: DioFile>(head: EndedHead<F>, err: Error) {
    trace::refused(head.kiocb(), err);
    head.kiocb().target().engine().stats.count_refused();
    worker::push_late(head);
}
