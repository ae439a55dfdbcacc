// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of direct I/O. Any context.
//!
//! The call of a disabled tracepoint is behind a jump that is patched when the tracepoint is
//! enabled. Enums of the module are passed as discriminants, which `trace.h` names.
//!
//! C header: `rust/helpers/trace.h`

use kernel::prelude::*;

use super::{
    end_io::EndedBio,
    head::DioTarget, //
};
use crate::{
    bindings,
    block::{
        poll::PollCookie,
        BlockDevice, //
    },
    fs::{
        kiocb::to_ki_result,
        Kiocb, //
    },
};

/// Calls a tracepoint, if it is enabled. As `declare_trace!`, for those in `bindings`.
///
/// # Safety
///
/// The pointers among the arguments must be valid.
#[cfg(CONFIG_TRACEPOINTS)]
macro_rules! call {
    ($name:ident($($arg:expr),* $(,)?)) => {
        kernel::macros::paste! {
            if kernel::jump_label::static_branch_unlikely!(
                bindings::[< __tracepoint_ $name >],
                bindings::tracepoint,
                key
            ) {
                bindings::[< rust_do_trace_ $name >]($($arg),*)
            }
        }
    };
}

#[cfg(not(CONFIG_TRACEPOINTS))]
macro_rules! call {
    ($name:ident($($arg:expr),* $(,)?)) => {{
        $( let _ = $arg; )*
    }};
}

/// Traces the submission of a request for `length` bytes whose completion has `needs`.
#[inline]
pub fn submit<T>(kiocb: &Kiocb<T>, length: usize, write: bool, needs: u32) {
    // SAFETY: A kiocb is valid until it is completed, and so are its file and inode.
    unsafe { call!(rnull_dio_submit(kiocb.as_raw(), length, write, needs)) };
}

/// Traces the end of a bio.
#[inline]
pub fn bio_end<T: DioTarget>(bio: &EndedBio<T>) {
    // SAFETY: As in `submit`; the bio is valid until it is finished.
    unsafe { call!(rnull_dio_bio_end(bio.dio().kiocb().as_raw(), bio.as_raw())) };
}

/// Traces the choice of `route` for the rest of a completion, from the other arguments.
#[inline]
pub fn route<T>(kiocb: &Kiocb<T>, needs: u32, arrival: u32, issuer: u32, policy: u32, route: u32) {
    // SAFETY: As in `submit`.
    unsafe {
        call!(rnull_dio_route(
            kiocb.as_raw(),
            needs,
            arrival,
            issuer,
            policy,
            route,
        ))
    };
}

/// Traces that the issuer has refused to run a completion, because of `err`.
#[inline]
pub fn refused<T>(kiocb: &Kiocb<T>, err: Error) {
    // SAFETY: As in `submit`.
    unsafe { call!(rnull_dio_refused(kiocb.as_raw(), err.to_errno())) };
}

/// Traces the result that the issuer is about to get. Must be called before the position is
/// advanced.
#[inline]
pub fn complete<T>(kiocb: &Kiocb<T>, ret: Result<usize>) {
    // SAFETY: As in `submit`.
    unsafe { call!(rnull_dio_complete(kiocb.as_raw(), to_ki_result(ret))) };
}

/// Traces that `device` was polled on the queue of `cookie`, if there is one, and `reaped` requests
/// were completed.
#[inline]
pub fn poll(device: &BlockDevice, cookie: Option<PollCookie>, reaped: u32) {
    let cookie = PollCookie::into_raw(cookie);
    // SAFETY: The device is valid.
    unsafe { call!(rnull_dio_poll(device.as_raw(), cookie, reaped)) };
}
