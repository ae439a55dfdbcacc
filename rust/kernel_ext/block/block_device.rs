// SPDX-License-Identifier: GPL-2.0

//! Block devices, for submitters of bios.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use core::{
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    types::Opaque, //
};

use super::poll::PollCookie;
use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
};

/// A `struct block_device`: a whole disk or a partition.
///
/// References are borrowed from an owner that keeps the device open, such as [`BdevFile`], because
/// only that keeps the driver's module. Bios for a device whose hardware is gone end with an error.
///
/// # Invariants
///
/// The inner `struct block_device` is initialized.
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
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::block_device) -> &'a Self {
        // SAFETY: By the safety requirements of this function; the type is transparent.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C pointer.
    pub fn as_raw(&self) -> *mut bindings::block_device {
        self.0.get()
    }

    /// Returns the major and minor numbers, which no other device that is open has.
    pub fn number(&self) -> (u32, u32) {
        // SAFETY: By the type invariant.
        let dev = unsafe { (*self.as_raw()).bd_dev };
        (
            dev >> bindings::MINORBITS,
            dev & ((1 << bindings::MINORBITS) - 1),
        )
    }

    /// Returns the unit in which the device is addressed, in bytes; a power of two.
    #[inline]
    pub fn logical_block_size(&self) -> u32 {
        // SAFETY: By the type invariant; the queue stays as long as the device.
        unsafe { (*(*self.as_raw()).bd_queue).limits.logical_block_size }
    }

    /// Returns the mask of the bits that must be zero in addresses and lengths of memory.
    #[inline]
    pub fn dma_alignment_mask(&self) -> u32 {
        // SAFETY: As above.
        unsafe { (*(*self.as_raw()).bd_queue).limits.dma_alignment }
    }

    /// Returns whether the device may access memory of another PCI device (P2PDMA).
    #[inline]
    pub fn takes_peer_memory(&self) -> bool {
        // SAFETY: As above.
        let features = unsafe { (*(*self.as_raw()).bd_queue).limits.features };
        features & bindings::EXT_BLK_FEAT_PCI_P2PDMA != 0
    }

    /// Returns whether the device has a volatile write cache. Can change while the device is open.
    pub fn has_write_cache(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_bdev_write_cache(self.as_raw()) }
    }

    /// Returns whether the device can write through its cache (FUA).
    pub fn has_fua(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_bdev_fua(self.as_raw()) }
    }

    /// Returns whether blk-mq drives the device, rather than `->submit_bio`.
    pub fn is_mq(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_bdev_is_mq(self.as_raw()) }
    }

    /// Returns whether the device supports `REQ_NOWAIT`.
    pub fn has_nowait(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_bdev_nowait(self.as_raw()) }
    }

    /// Returns the size of the device in bytes.
    pub fn nr_bytes(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_bdev_nr_bytes(self.as_raw()) }
    }

    /// Polls the hardware queue of `cookie` once. Before this returns, the driver calls `end_io` of
    /// the bios that it finds to have ended, including those of other submitters.
    pub fn poll(&self, cookie: PollCookie, _ctx: &MaySleep) {
        let cookie = PollCookie::into_raw(Some(cookie));
        // SAFETY: By the type invariant.
        if !unsafe { bindings::ext_bdev_enter_hctx(self.as_raw(), cookie) } {
            return;
        }
        let mut bio = self.bio_to_poll(cookie);
        let mut batch: bindings::io_comp_batch = pin_init::zeroed();
        // SAFETY: To find the queue of a blk-mq device, `bio_poll` reads the device and the cookie
        // of the bio and nothing else, so a bio that is not in flight will do; the bio that the
        // cookie comes from may have been freed by another poller. There is a queue of that number
        // for as long as it is entered.
        unsafe { bindings::bio_poll(&mut bio, &mut batch, bindings::BLK_POLL_ONESHOT) };
        if let (false, Some(complete)) = (batch.req_list.head.is_null(), batch.complete) {
            // SAFETY: The driver has filled the batch, and left its completion to the caller.
            unsafe { complete(&mut batch) };
        }
        // SAFETY: It was entered above.
        unsafe { bindings::ext_bdev_exit_hctx(self.as_raw()) };
    }

    /// Polls each hardware queue for polled bios once, see [`poll`](Self::poll).
    pub fn poll_all(&self, ctx: &MaySleep) {
        let mut index = 0;
        loop {
            // SAFETY: By the type invariant.
            let raw = unsafe { bindings::ext_bdev_next_poll_hctx(self.as_raw(), index) };
            let Some(cookie) = PollCookie::from_raw(raw) else {
                break;
            };
            self.poll(cookie, ctx);
            index = raw + 1;
        }
    }

    /// Returns a bio that has what `bio_poll` reads.
    fn bio_to_poll(&self, cookie: bindings::blk_qc_t) -> bindings::bio {
        let mut bio: bindings::bio = pin_init::zeroed();
        if cfg!(debug_assertions) {
            // An invalid pointer, so that debugging kernels report it if `bio_poll` follows any
            // other pointer of the bio.
            // SAFETY: The fields are integers and nullable pointers, of which all bits are valid.
            unsafe {
                (&raw mut bio)
                    .cast::<u8>()
                    .write_bytes(0xa5, size_of_val(&bio))
            };
        }
        bio.bi_bdev = self.as_raw();
        bio.__bindgen_anon_1.bi_cookie = cookie;
        bio
    }

    /// Flushes the device's volatile write cache and waits for it.
    ///
    /// Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The device's error, mostly `EIO`.
    pub fn issue_flush(&self, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::blkdev_issue_flush(self.as_raw()) })
    }

    /// Zeroes `sectors` sectors (of 512 bytes) from `sector` on, in the way that is best for the
    /// device, and waits for it. The device keeps its allocated blocks.
    ///
    /// # Errors
    ///
    /// `EINVAL` if these are not whole logical blocks; otherwise the device's error.
    pub fn zero(&self, sector: u64, sectors: u64, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe {
            bindings::blkdev_issue_zeroout(
                self.as_raw(),
                sector,
                sectors,
                bindings::EXT_GFP_KERNEL,
                bindings::BLKDEV_ZERO_NOUNMAP,
            )
        })
    }
}

/// An open block device: a reference to its `struct file` (`bdev_file`).
///
/// It keeps the device open, and with that the module of its driver.
///
/// # Invariants
///
/// `file` is the file of an open block device, to which this object has a reference, and `device`
/// is that device.
///
/// # Examples
///
/// ```
/// use kernel_ext::block::BdevFile;
///
/// fn capacity(file: &BdevFile) -> u64 {
///     file.nr_bytes()
/// }
/// ```
pub struct BdevFile {
    file: NonNull<bindings::file>,
    // Here because requests need it, and `file_bdev` is a call.
    device: NonNull<bindings::block_device>,
}

// SAFETY: Files may be used and released by any thread.
unsafe impl Send for BdevFile {}

// SAFETY: As above.
unsafe impl Sync for BdevFile {}

impl BdevFile {
    /// # Safety
    ///
    /// `file` must be the file of an open block device. A reference to it is given up.
    unsafe fn from_raw(file: *mut bindings::file) -> Self {
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: As above; neither is at NULL.
        unsafe {
            Self {
                file: NonNull::new_unchecked(file),
                device: NonNull::new_unchecked(bindings::file_bdev(file)),
            }
        }
    }

    /// Takes a reference to a file.
    ///
    /// # Safety
    ///
    /// `file` must be the file of an open block device, and be valid for the call.
    pub(crate) unsafe fn get(file: *mut bindings::file) -> Self {
        // SAFETY: By the safety requirements of this function; the reference is new.
        unsafe { Self::from_raw(bindings::ext_get_file(file)) }
    }

    /// Opens `device` once more, without a claim to it. May sleep.
    ///
    /// # Errors
    ///
    /// The error of the block layer, `ENXIO` if the device is being removed.
    pub fn open(device: &BlockDevice) -> Result<Self> {
        // SAFETY: The device is valid, and its number names it. There is no holder.
        let file = from_err_ptr(unsafe {
            bindings::bdev_file_open_by_dev(
                (*device.as_raw()).bd_dev,
                bindings::EXT_BLK_OPEN_READ_WRITE,
                core::ptr::null_mut(),
                core::ptr::null(),
            )
        })?;
        // SAFETY: The function has returned a reference to the file of an open block device.
        Ok(unsafe { Self::from_raw(file) })
    }
}

impl Deref for BdevFile {
    type Target = BlockDevice;

    #[inline]
    fn deref(&self) -> &BlockDevice {
        // SAFETY: By the type invariant the device stays open for as long as the reference.
        unsafe { BlockDevice::from_raw(self.device.as_ptr()) }
    }
}

impl Clone for BdevFile {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { Self::get(self.file.as_ptr()) }
    }
}

impl Drop for BdevFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours. The file is released in a task.
        unsafe { bindings::fput(self.file.as_ptr()) };
    }
}
