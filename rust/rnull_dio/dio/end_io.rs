// SPDX-License-Identifier: GPL-2.0

//! Collecting the bios of a request.

use kernel_ext::{
    context::InAtomic,
    dio::{
        trace,
        EndedBio,
        LastRef, //
    },
};

use super::{
    dispatch::dispatch,
    engine::Engine,
    files::Files,
    redirty, //
};

/// Collects a bio that has ended. The last one dispatches its request.
#[inline]
pub(super) fn end_io<F: Files>(bio: EndedBio<Engine<F>>, ctx: &InAtomic) {
    trace::bio_end(&bio);
    if let Err(err) = bio.result() {
        bio.dio().state().fail(err);
    }
    let last = if bio.must_redirty() {
        bio.finish_with_pages(redirty::push_bio)
    } else {
        bio.finish()
    };
    match last {
        LastRef::Shared | LastRef::Waiter => (),
        LastRef::Completer(dio) => dispatch(dio, ctx),
    }
}
