// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of the direct I/O engine. Any context. One that is disabled is a jump over the call,
//! which is patched when it is enabled.
//!
//! What the engine has as enums is passed as discriminants, for `trace.h` to name.
//!
//! C header: `rust/helpers/trace.h`

use kernel::prelude::*;

use crate::{
    bindings,
    block::{
        bio::{
            BioTarget,
            EndedBio, //
        },
        BlockDevice,
    },
    fs::{
        iomap::Mapping,
        kiocb::{
            to_ki_result,
            PollCookie, //
        },
        Kiocb,
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

/// `length` bytes are about to be read or written, and leave `needs` to the completion.
#[inline]
pub fn submit<T: Mapping>(kiocb: &Kiocb<T>, length: usize, write: bool, needs: u32) {
    // SAFETY: A kiocb is valid, with its file and inode, until it is completed.
    unsafe { call!(rnull_dio_submit(kiocb.as_ptr(), length, write, needs)) };
}

/// A bio has ended.
#[inline]
pub fn bio_end<T: BioTarget>(bio: &EndedBio<T>) {
    // SAFETY: As in `submit`; the bio is valid until it is finished.
    unsafe { call!(rnull_dio_bio_end(bio.head().kiocb().as_ptr(), bio.as_ptr())) };
}

/// `route` is who runs the rest of a completion, and the others are what that follows from.
#[inline]
pub fn route<T: Mapping>(
    kiocb: &Kiocb<T>,
    needs: u32,
    arrival: u32,
    issuer: u32,
    policy: u32,
    route: u32,
) {
    // SAFETY: As in `submit`.
    unsafe {
        call!(rnull_dio_route(
            kiocb.as_ptr(),
            needs,
            arrival,
            issuer,
            policy,
            route,
        ))
    };
}

/// The issuer did not take a completion over, because of `err`.
#[inline]
pub fn refused<T: Mapping>(kiocb: &Kiocb<T>, err: Error) {
    // SAFETY: As in `submit`.
    unsafe { call!(rnull_dio_refused(kiocb.as_ptr(), err.to_errno())) };
}

/// The issuer is about to be told the result. To be called before the position moves on.
#[inline]
pub fn complete<T: Mapping>(kiocb: &Kiocb<T>, ret: Result<usize>) {
    // SAFETY: As in `submit`.
    unsafe { call!(rnull_dio_complete(kiocb.as_ptr(), to_ki_result(ret))) };
}

/// `device` has been polled, where there was a queue to poll, and `reaped` requests were completed.
#[inline]
pub fn poll(device: &BlockDevice, cookie: Option<PollCookie>, reaped: u32) {
    let cookie = cookie.map_or(bindings::EXT_BLK_QC_T_NONE, PollCookie::as_raw);
    // SAFETY: The device is valid.
    unsafe { call!(rnull_dio_poll(device.as_ptr(), cookie, reaped)) };
}
