// SPDX-License-Identifier: GPL-2.0

//! Transfers of files that are polled.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use kernel::{
    prelude::*,
    types::Opaque, //
};

use crate::bindings;

use super::IoCompBatch;

/// The transfers in flight of a hardware queue for which a task polls.
///
/// # Invariants
///
/// `self.0` is initialized. The transfers in its list belong to requests that have not ended.
#[pin_data]
pub struct PolledTransfers {
    #[pin]
    inner: Opaque<bindings::ext_polled>,
}

// SAFETY: A spinlock and a list belong to no thread.
unsafe impl Send for PolledTransfers {}

// SAFETY: The list is accessed with the lock held.
unsafe impl Sync for PolledTransfers {}

impl PolledTransfers {
    /// Makes it, without transfers.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialized here, with an empty list.
            // SAFETY: The memory is valid for writes, and does not move.
            inner <- Opaque::ffi_init(|inner| unsafe { bindings::ext_polled_init(inner) }),
        })
    }

    /// Polls one of the transfers, each time another one. Returns how many completions were found,
    /// which may be of others and in the batch; [`None`] if there is no transfer.
    #[inline]
    pub fn poll(&self, batch: &mut IoCompBatch<'_>) -> Option<u32> {
        // SAFETY: By the type invariant. A batch exists only in `Operations::poll`. There, the caller
        // has a reference of the request queue, so that the memory of requests stays, and with it that
        // of transfers that are over.
        let ret = unsafe { bindings::ext_polled_poll(self.as_raw(), batch.as_raw()) };
        u32::try_from(ret).ok()
    }

    pub(super) fn as_raw(&self) -> *mut bindings::ext_polled {
        self.inner.get()
    }
}
