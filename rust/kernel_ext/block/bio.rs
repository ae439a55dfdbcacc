// SPDX-License-Identifier: GPL-2.0

//! Bios.
//!
//! [`Bio`] is a bio that its owner submits and waits for. Direct I/O, in [`crate::dio`], has bios
//! of its own kind, which are filled by the same code ([`BioMut`]).
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

mod fill;

pub(crate) use self::fill::BioMut;
pub use self::fill::{
    DmaLimits,
    Filled, //
};

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    prelude::*, //
};

use crate::{
    bindings,
    block::BlockDevice,
    context::{
        MayIo,
        MaySleep, //
    },
};

/// The most segments that a bio can have, `BIO_MAX_VECS`.
pub const MAX_VECS: u16 = bindings::BIO_MAX_VECS as u16;

/// Operation and flags of a bio: `REQ_OP_*` and `REQ_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opf(u32);

impl Opf {
    /// A read.
    pub const READ: Self = Self(bindings::req_op_REQ_OP_READ);
    /// A write that a task waits for, and that the block layer need not hold back for merging.
    pub const WRITE: Self =
        Self(bindings::req_op_REQ_OP_WRITE | bindings::EXT_REQ_SYNC | bindings::EXT_REQ_IDLE);

    /// Adds `REQ_FUA`: the write goes through the device's cache.
    pub const fn fua(self) -> Self {
        Self(self.0 | bindings::EXT_REQ_FUA)
    }

    /// Adds `REQ_NOWAIT`: the bio ends with `EAGAIN` where its submission would sleep.
    pub const fn nowait(self) -> Self {
        Self(self.0 | bindings::EXT_REQ_NOWAIT)
    }

    /// Returns whether data goes to the device.
    #[inline]
    pub const fn is_write(self) -> bool {
        Self::is_write_raw(self.0)
    }

    /// Returns whether data goes to the device, for the `bi_opf` of a bio.
    #[inline]
    pub(crate) const fn is_write_raw(opf: u32) -> bool {
        // Operations that write have odd numbers.
        opf & 1 != 0
    }

    pub(crate) const fn as_raw(self) -> u32 {
        self.0
    }
}

/// A bio that transfers borrowed memory, for a submitter that waits.
///
/// # Invariants
///
/// `bio` is a bio of `fs_bio_set` that this object owns and that has not been submitted. Its
/// segments lie in memory that is borrowed for `'a`, exclusively if the bio is a read.
pub struct Bio<'a> {
    bio: NonNull<bindings::bio>,
    _p: PhantomData<&'a mut [u8]>,
}

impl<'a> Bio<'a> {
    /// Allocates a bio for `device` that transfers nothing, with room for one segment.
    ///
    /// The allocation does not fail, because a pool is behind it.
    fn new(device: &'a BlockDevice, opf: Opf, _ctx: &MaySleep) -> Self {
        // SAFETY: The device outlives the bio, and `fs_bio_set` was initialized at boot.
        let bio = unsafe {
            bindings::bio_alloc_bioset(
                device.as_raw(),
                1,
                opf.as_raw(),
                bindings::GFP_KERNEL,
                &raw mut bindings::fs_bio_set,
            )
        };
        // INVARIANT: The bio is new, and has no segments.
        Self {
            // SAFETY: With a pool behind it and permission to sleep, the allocation succeeds.
            bio: unsafe { NonNull::new_unchecked(bio) },
            _p: PhantomData,
        }
    }

    /// Creates a read into all of `buf` from `sector` (of 512 bytes) on.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the length of `buf` is 0, or not a multiple of the device's logical block size,
    /// or more than a bio can carry.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel_ext::{block::{bio::Bio, BlockDevice}, context::MayIo};
    ///
    /// fn first_block(device: &BlockDevice, io: &MayIo) -> Result<KVec<u8>> {
    ///     let len = device.logical_block_size() as usize;
    ///     let mut block = KVec::from_elem(0, len, GFP_KERNEL)?;
    ///     let bio = Bio::read(device, 0, &mut block, io)?;
    ///     bio.submit_and_wait(io)?;
    ///     Ok(block)
    /// }
    /// ```
    pub fn read(
        device: &'a BlockDevice,
        sector: u64,
        buf: &'a mut KVec<u8>,
        ctx: &MaySleep,
    ) -> Result<Self> {
        check_length(device, buf.len())?;
        let this = Self::new(device, Opf::READ, ctx);
        // SAFETY: By the type invariant.
        unsafe { (*this.bio.as_ptr()).bi_iter.bi_sector = sector };
        // INVARIANT: The buffer is borrowed for as long as the bio, exclusively.
        // SAFETY: The bio is ours and has room for a segment. A `KVec` lies in slab memory, which
        // is contiguous, and is as long as this.
        unsafe {
            bindings::bio_add_virt_nofail(
                this.bio.as_ptr(),
                buf.as_mut_ptr().cast(),
                // CAST: The check has limited it to 32 bits.
                buf.len() as u32,
            )
        };
        Ok(this)
    }

    /// Submits the bio and waits for its end.
    ///
    /// # Errors
    ///
    /// The device's or the block layer's error, mostly `EIO`.
    pub fn submit_and_wait(self, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant. The function returns when the bio has ended, so the memory
        // is not accessed after its borrow.
        to_result(unsafe { bindings::submit_bio_wait(self.bio.as_ptr()) })
    }
}

fn check_length(device: &BlockDevice, len: usize) -> Result {
    // CAST: From 32 bits to 64.
    let block = device.logical_block_size() as usize;
    let max = bindings::EXT_BIO_MAX_SIZE as usize;
    if len == 0 || len & (block - 1) != 0 || len > max {
        return Err(EINVAL);
    }
    Ok(())
}

impl Drop for Bio<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours, and the bio is not in flight.
        unsafe { bindings::bio_put(self.bio.as_ptr()) };
    }
}
