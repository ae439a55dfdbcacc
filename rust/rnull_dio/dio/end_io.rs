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
    file::{
        DioFile,
        File, //
    },
    redirty, //
};

/// Collects a bio that has ended. The last one dispatches its request.
#[inline]
pub(super) fn end_io<F: DioFile>(bio: EndedBio<File<F>>, ctx: &InAtomic) {
    trace::bio_end(&bio);
    let state = bio.dio().state();
    if let Err(err) = bio.result() {
        state.fail(err);
    }
    let last = if bio.must_redirty() {
        state.raise_to_task();
        bio.finish_with_pages(redirty::push_bio)
    } else {
        bio.finish()
    };
    match last {
        LastRef::Shared | LastRef::Waiter => (),
        LastRef::Completer(dio) => dispatch(dio, ctx),
    }
}
