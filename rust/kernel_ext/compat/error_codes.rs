// SPDX-License-Identifier: GPL-2.0

//! Error codes that `kernel::error::code` lacks.

use core::mem::transmute;

use kernel::error::Error;

use crate::bindings;

/// Operation canceled.
pub const ECANCELED: Error = error(bindings::ECANCELED);
/// Operation now in progress.
pub const EINPROGRESS: Error = error(bindings::EINPROGRESS);
/// Too many symbolic links encountered.
pub const ELOOP: Error = error(bindings::ELOOP);
/// Operation not supported on transport endpoint.
pub const EOPNOTSUPP: Error = error(bindings::EOPNOTSUPP);
/// Timer expired.
pub const ETIME: Error = error(bindings::ETIME);

/// Makes the `Error` of a code; `Error` has no constructor for constants.
const fn error(code: u32) -> Error {
    assert!(0 < code && code <= bindings::MAX_ERRNO);
    // SAFETY: `Error` has one field, a `NonZero<i32>`, for the negative code, and no more room, or this would
    // not compile. Its invariant is that of the assertion.
    unsafe { transmute::<i32, Error>(-(code as i32)) }
}
