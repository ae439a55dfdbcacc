// SPDX-License-Identifier: GPL-2.0

//! Requests that are complete, or nearly so.

use kernel_ext::aio::{
    Request,
    Requests,
    Unfinished, //
};

use super::{
    context::Data,
    finish,
    results, //
};

impl Requests for Data {
    fn complete(request: Request<Self>) {
        results::add(request);
    }

    fn finish_later(request: Unfinished<Self>) {
        finish::leave_to_waiter(request);
    }
}
