// SPDX-License-Identifier: GPL-2.0

//! Transfers of files that are polled.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use kernel::{
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    fs::backing_file::BackingFile, //
};

use super::IoCompBatch;

/// The transfers in flight of a hardware queue for which a task polls, and the device below.
///
/// The device is polled, rather than each transfer: all of its hardware queues for polled I/O, in
/// which the transfers are. If no task polls for a while, a work item does.
///
/// # Invariants
///
/// `inner` is initialized. The transfers that it counts belong to requests that have not ended, of a
/// hardware queue whose data it is part of, and which have the file open.
#[pin_data(PinnedDrop)]
pub struct PolledTransfers {
    #[pin]
    inner: Opaque<bindings::ext_polled>,
}

// SAFETY: A count, and a reference of a device, belong to no thread.
unsafe impl Send for PolledTransfers {}

// SAFETY: What changes is accessed atomically.
unsafe impl Sync for PolledTransfers {}

impl PolledTransfers {
    /// Makes it, without transfers, for those of a file. They are polled only if the file has been
    /// prepared for that.
    pub fn new(file: &BackingFile) -> impl PinInit<Self> + '_ {
        pin_init!(Self {
            // INVARIANT: Initialized here, with no transfer.
            // SAFETY: The memory is valid for writes, and does not move. The file is NULL or open.
            inner <- Opaque::ffi_init(|inner| unsafe {
                bindings::ext_polled_init(inner, file.polled_file())
            }),
        })
    }

    /// Polls the device below. Returns how many completions were found, which may be of others and in
    /// the batch; [`None`] if there is no transfer.
    #[inline]
    pub fn poll(&self, batch: &mut IoCompBatch<'_>) -> Option<u32> {
        // SAFETY: By the type invariant, with a reference of the device below, whose queue is entered
        // before it is polled. The batch is NULL or that of the caller.
        let ret = unsafe { bindings::ext_polled_poll(self.as_raw(), batch.as_raw()) };
        u32::try_from(ret).ok()
    }

    pub(super) fn as_raw(&self) -> *mut bindings::ext_polled {
        self.inner.get()
    }
}

#[pinned_drop]
impl PinnedDrop for PolledTransfers {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: What contains this is dropped in a context that may sleep. By the type invariant it is
        // initialized, and no transfer is in flight, because all requests of the queue have ended.
        unsafe { bindings::ext_polled_exit(self.inner.get()) };
    }
}
