// SPDX-License-Identifier: GPL-2.0

//! Block devices, as those who submit bios see them.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use core::ptr::NonNull;

use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::AlwaysRefCounted,
    types::Opaque, //
};

use crate::{
    bindings,
    context::{
        Io,
        Task, //
    },
    fs::kiocb::PollCookie, //
};

/// A `struct block_device`: a whole disk or a partition.
///
/// A reference to one keeps the object, not the hardware: bios for a device that is gone end with
/// an error.
///
/// # Invariants
///
/// The inner `struct block_device` is initialized, and its embedded `struct device` is reference
/// counted.
#[repr(transparent)]
pub struct BlockDevice(Opaque<bindings::block_device>);

// SAFETY: `struct block_device` may be used from any thread.
unsafe impl Send for BlockDevice {}

// SAFETY: All methods that take `&self` read fields or call functions that synchronize themselves.
unsafe impl Sync for BlockDevice {}

impl BlockDevice {
    /// Creates a reference from a C pointer.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an initialized `struct block_device` that stays valid for `'a`.
    pub unsafe fn from_raw<'a>(ptr: *mut bindings::block_device) -> &'a Self {
        // SAFETY: Per the function's safety requirements; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C pointer.
    pub fn as_ptr(&self) -> *mut bindings::block_device {
        self.0.get()
    }

    /// The unit in which the device is addressed, in bytes; a power of two.
    pub fn logical_block_size(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_logical_block_size(self.as_ptr()) }
    }

    /// The mask that addresses and lengths of memory must be free of.
    pub fn dma_alignment_mask(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_dma_alignment(self.as_ptr()) }
    }

    /// Does the device have a volatile write cache? Can change while the device is open.
    pub fn has_write_cache(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_write_cache(self.as_ptr()) }
    }

    /// Can the device write through its cache (FUA)?
    pub fn has_fua(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_fua(self.as_ptr()) }
    }

    /// Is the device driven through blk-mq, rather than by `->submit_bio`?
    pub fn is_mq(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_is_mq(self.as_ptr()) }
    }

    /// Does the device end bios with `EAGAIN` rather than sleep, if it is asked to?
    pub fn has_nowait(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_nowait(self.as_ptr()) }
    }

    /// The size of the device in bytes.
    pub fn nr_bytes(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_bdev_nr_bytes(self.as_ptr()) }
    }

    /// Polls once for the end of bios on the hardware queue of `cookie`; whose bios, is up to the
    /// device. Their `end_io` is called before this returns.
    pub fn poll(&self, cookie: PollCookie, _task: &Task) {
        // SAFETY: By the type invariant.
        if !unsafe { bindings::rnull_dio_bdev_enter_hctx(self.as_ptr(), cookie.as_raw()) } {
            return;
        }
        let mut bio: bindings::bio = pin_init::zeroed();
        bio.bi_bdev = self.as_ptr();
        bio.__bindgen_anon_1.bi_cookie = cookie.as_raw();
        let mut batch: bindings::io_comp_batch = pin_init::zeroed();
        // SAFETY: To find the queue of a blk-mq device, `bio_poll` reads these two fields and no
        // others, so that none of the bios under way is needed: somebody else may reap it just
        // now. There is a queue of that number, for as long as it is entered.
        unsafe { bindings::bio_poll(&mut bio, &mut batch, bindings::BLK_POLL_ONESHOT) };
        if let (false, Some(complete)) = (batch.req_list.head.is_null(), batch.complete) {
            // SAFETY: The driver has filled the batch, and left this to complete it.
            unsafe { complete(&mut batch) };
        }
        // SAFETY: It was entered above.
        unsafe { bindings::rnull_dio_bdev_exit_hctx(self.as_ptr()) };
    }

    /// Flushes the device's volatile write cache and waits for it.
    ///
    /// Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Whatever the device answers, `EIO` mostly.
    pub fn issue_flush(&self, _io: &Io) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::blkdev_issue_flush(self.as_ptr()) })
    }

    /// Zeroes `sectors` sectors (of 512 bytes) from `sector` on, in the way that is best for the
    /// device, and waits for it. What the device has allocated stays allocated.
    ///
    /// # Errors
    ///
    /// `EINVAL` if these are not whole logical blocks; otherwise whatever the device answers.
    pub fn zero(&self, sector: u64, sectors: u64, _io: &Io) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe {
            bindings::blkdev_issue_zeroout(
                self.as_ptr(),
                sector,
                sectors,
                bindings::EXT_GFP_KERNEL,
                bindings::BLKDEV_ZERO_NOUNMAP,
            )
        })
    }

    /// Reads `buf.len()` bytes at `sector` (of 512 bytes) and waits for them.
    ///
    /// Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the length is 0 or not a multiple of the logical block size; otherwise whatever
    /// the device answers, `EIO` mostly.
    pub fn read_sync(&self, sector: u64, buf: &mut KVec<u8>) -> Result {
        // CAST: From 32 bits to 64. The limit is that of a bio.
        let block = self.logical_block_size() as usize;
        if buf.is_empty() || buf.len() & (block - 1) != 0 || buf.len() > u32::MAX as usize {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariant; `buf` is slab memory, valid for its length, and nobody
        // else accesses it until the function returns, which is after the I/O.
        to_result(unsafe {
            bindings::bdev_rw_virt(
                self.as_ptr(),
                sector,
                buf.as_mut_ptr().cast(),
                buf.len(),
                bindings::req_op_REQ_OP_READ,
            )
        })
    }
}

// SAFETY: The functions take and drop a reference of the embedded `struct device`, whose release
// function frees the object.
unsafe impl AlwaysRefCounted for BlockDevice {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::get_device(&raw mut (*self.as_ptr()).bd_device) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the reference that is dropped.
        unsafe { bindings::put_device(&raw mut (*obj.as_ref().as_ptr()).bd_device) };
    }
}
