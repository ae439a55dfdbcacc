// SPDX-License-Identifier: GPL-2.0

//! Finding the hardware queue of a polled request.

use crate::{
    bindings,
    block::poll::PollCookie,
    fs::PolledKiocb, //
};

/// Returns where to poll for a request. There is nothing to poll if the block layer has not started
/// the request yet, or does not poll for it, or if the request has ended.
///
/// Any context. The bio may be completed and freed by another poller during the call.
#[inline]
pub fn poll_cookie(kiocb: &PolledKiocb<'_>) -> Option<PollCookie> {
    let mut cookie = bindings::EXT_BLK_QC_T_NONE;
    // SAFETY: The kiocb is valid. Its `private` is null, or a bio that is set by
    // `DioKiocb::set_polled_bio`, because nothing else in this crate sets it.
    unsafe { bindings::ext_iocb_poll_cookie(kiocb.as_raw(), &mut cookie) };
    PollCookie::from_raw(cookie)
}
