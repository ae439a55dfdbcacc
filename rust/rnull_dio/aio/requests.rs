// SPDX-License-Identifier: GPL-2.0

//! The begin and the end of requests.

use kernel::prelude::*;

use kernel_ext::aio::{
    Completed,
    Requests,
    Unfinished, //
};

use super::{
    context::{
        Context,
        Data, //
    },
    finish,
    results, //
};

impl Requests for Data {
    /// Takes a slot, which the result of the request gives back.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: there is none.
    fn begin(context: &Context) -> Result {
        if !context.slots.take() {
            // Reaping gives none back, so as not to write to what submitters write to.
            results::free_slots(context);
            if !context.slots.take() {
                return Err(EAGAIN);
            }
        }
        Ok(())
    }

    fn abandon(context: &Context) {
        context.slots.put(1);
    }

    fn complete(request: Completed<Self>) {
        results::add(request);
    }

    fn finish_later(request: Unfinished<Self>) {
        finish::leave_to_waiter(request);
    }
}
