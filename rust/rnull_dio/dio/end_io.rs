// SPDX-License-Identifier: GPL-2.0

//! The end of bios, in whatever context that is.

use kernel_ext::block::bio::{
    EndedBio,
    EndedHead,
    LastRef, //
};

use super::{
    complete,
    route::{
        route,
        Arrival,
        Route, //
    },
    worker,
    DioFile, //
};

/// Collects a bio; the last one sends its request on its way. Any context, does not sleep.
pub(crate) fn end_io<F: DioFile>(bio: EndedBio<F>) {
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
        LastRef::Completer(head) => dispatch(head),
    }
}

/// Sends a request to whoever may run the rest of its completion.
fn dispatch<F: DioFile>(mut head: EndedHead<F>) {
    let arrival = if head.was_polled() {
        Arrival::Polled
    } else {
        Arrival::Irq
    };
    let route = route(head.data().needs(), arrival);
    let engine = head.kiocb().target().engine();
    engine.stats.count_route(route);
    match route {
        Route::Inline => complete::in_interrupt(head),
        Route::Reaper => {
            // The issuer's own task may wait for the count to drop, in place of polling.
            head.end_dio();
            // Whoever polls looks without being told.
            head.push_to(|file| &file.engine().polled);
        }
        // The other two are not for a completer.
        Route::Worker | Route::Submitter | Route::Waiter => worker::push(head),
    }
}
