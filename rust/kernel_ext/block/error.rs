// SPDX-License-Identifier: GPL-2.0

//! Status codes of the block layer.
//!
//! C header: [`include/linux/blk_types.h`](srctree/include/linux/blk_types.h)

use core::num::NonZeroU8;

use kernel::error::Error;

use crate::bindings;

/// The outcome of a request or bio.
pub type BlkResult = core::result::Result<(), BlkError>;

/// A `blk_status_t` other than `BLK_STS_OK`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlkError(NonZeroU8);

impl BlkError {
    /// The operation is not supported.
    pub const NOTSUPP: Self = Self::new(bindings::EXT_BLK_STS_NOTSUPP);
    /// The device did not answer in time.
    pub const TIMEOUT: Self = Self::new(bindings::EXT_BLK_STS_TIMEOUT);
    /// The device has no room left.
    pub const NOSPC: Self = Self::new(bindings::EXT_BLK_STS_NOSPC);
    /// A resource of the kernel is exhausted.
    pub const RESOURCE: Self = Self::new(bindings::EXT_BLK_STS_RESOURCE);
    /// A resource of the device is exhausted; an I/O in flight will free it.
    pub const DEV_RESOURCE: Self = Self::new(bindings::EXT_BLK_STS_DEV_RESOURCE);
    /// No more zones can be open.
    pub const ZONE_OPEN_RESOURCE: Self = Self::new(bindings::EXT_BLK_STS_ZONE_OPEN_RESOURCE);
    /// No more zones can be open or closed.
    pub const ZONE_ACTIVE_RESOURCE: Self = Self::new(bindings::EXT_BLK_STS_ZONE_ACTIVE_RESOURCE);
    /// Any other error.
    pub const IOERR: Self = Self::new(bindings::EXT_BLK_STS_IOERR);

    const fn new(status: bindings::blk_status_t) -> Self {
        match NonZeroU8::new(status) {
            Some(status) => Self(status),
            // Evaluated for the constants above at compile time, and for nothing else.
            None => panic!("BLK_STS_OK is not an error"),
        }
    }

    /// Returns the outcome that `status` stands for.
    #[inline]
    pub fn from_raw(status: bindings::blk_status_t) -> BlkResult {
        match NonZeroU8::new(status) {
            Some(status) => Err(Self(status)),
            None => Ok(()),
        }
    }

    /// Returns the `blk_status_t` that stands for `result`.
    #[inline]
    pub fn into_raw(result: BlkResult) -> bindings::blk_status_t {
        match result {
            Ok(()) => 0,
            Err(BlkError(status)) => status.get(),
        }
    }
}

impl From<Error> for BlkError {
    fn from(err: Error) -> Self {
        // SAFETY: A table lookup without requirements.
        let status = unsafe { bindings::errno_to_blk_status(err.to_errno()) };
        // It is never `BLK_STS_OK`, which stands for 0, and an error is not 0.
        NonZeroU8::new(status).map_or(Self::IOERR, Self)
    }
}

impl From<BlkError> for Error {
    fn from(err: BlkError) -> Self {
        // SAFETY: A table lookup without requirements.
        Error::from_errno(unsafe { bindings::blk_status_to_errno(err.0.get()) })
    }
}
