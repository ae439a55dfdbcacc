// SPDX-License-Identifier: GPL-2.0

//! Iterating over the mappings of a file, by the operations of its file system.

use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    ffi::c_void,
    prelude::*, //
};

use super::mapping::EMPTY;
use crate::{
    bindings,
    block::BlockDevice,
    context::MayIo,
    iov::Keeper, //
};

/// The type of a mapping, `IOMAP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingType {
    /// No blocks.
    Hole,
    /// Blocks that have data.
    Mapped,
    /// Blocks that read as zeroes.
    Unwritten,
    /// Any other: blocks to be allocated at writeback, data in the inode.
    Other,
}

/// An iteration over the mappings of a range of a file.
///
/// # Invariants
///
/// - `ops` are the operations of the file system of `iter.inode`. Both stay for `'a`.
/// - `iter.iomap` is a mapping that has to be finished if its length is not 0.
/// - `left` bytes of the range are left in the mapping.
pub struct Mappings<'a> {
    iter: bindings::iomap_iter,
    left: u64,
    ops: NonNull<bindings::iomap_ops>,
    keeper: Keeper,
    _p: PhantomData<&'a bindings::inode>,
}

impl Mappings<'_> {
    /// Creates an iteration over `len` bytes at `pos`, with `flags` (`IOMAP_*`), for the request of
    /// `keeper`.
    ///
    /// # Safety
    ///
    /// `inode` must be that of the request's file, and `ops` be operations of its file system, which
    /// expect `private`; for a lifetime that the caller chooses.
    #[inline(always)]
    pub unsafe fn new(
        inode: *mut bindings::inode,
        ops: NonNull<bindings::iomap_ops>,
        range: (u64, u64),
        flags: u32,
        private: *mut c_void,
        keeper: Keeper,
    ) -> Self {
        let (pos, len) = range;
        let iter = bindings::iomap_iter {
            inode,
            // CAST: The VFS passes no negative positions.
            pos: pos as bindings::loff_t,
            len,
            iter_start_pos: 0,
            status: 0,
            flags,
            iomap: EMPTY,
            srcmap: EMPTY,
            fbatch: null_mut(),
            private,
        };
        // INVARIANT: By the safety requirements of this function; there is no mapping yet.
        Self {
            iter,
            left: 0,
            ops,
            keeper,
            _p: PhantomData,
        }
    }

    /// Finishes the mapping, if there is one, and gets the next one. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// The error of [`fail`](Self::fail), or that of the file system.
    #[inline]
    pub fn next(&mut self, _io: &MayIo) -> Result<bool> {
        // SAFETY: By the type invariant.
        match unsafe { bindings::ext_iomap_iter(&mut self.iter, self.ops.as_ptr()) } {
            1.. => {
                // INVARIANT: There is a mapping.
                self.left = self.mapped();
                Ok(true)
            }
            ret => {
                // INVARIANT: The file system has finished the last mapping.
                self.iter.iomap.length = 0;
                self.left = 0;
                if ret == 0 {
                    Ok(false)
                } else {
                    Err(Error::from_errno(ret))
                }
            }
        }
    }

    /// Makes [`next`](Self::next) return `err`.
    #[inline]
    pub fn fail(&mut self, err: Error) {
        self.iter.status = err.to_errno();
    }

    /// Moves on by `bytes` bytes, which have been transferred or found not to need it.
    ///
    /// # Panics
    ///
    /// If the mapping has fewer bytes left.
    #[inline]
    pub fn advance(&mut self, bytes: u64) {
        assert!(bytes <= self.left);
        // INVARIANT: So many bytes less are left, in the mapping and in the range.
        self.left -= bytes;
        self.iter.len -= bytes;
        // CAST: Positions in a file fit.
        self.iter.pos += bytes as bindings::loff_t;
    }

    /// Returns the request that this is for.
    #[inline]
    pub(crate) fn keeper(&self) -> Keeper {
        self.keeper
    }

    /// Returns the position in the file, in bytes.
    #[inline]
    pub fn pos(&self) -> u64 {
        // CAST: Positions are not negative.
        self.iter.pos as u64
    }

    /// Returns how many bytes of the range are left in the mapping.
    #[inline]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Returns how many bytes of the range are in the mapping.
    #[inline]
    fn mapped(&self) -> u64 {
        // CAST: The position lies in the mapping, so the difference is not negative.
        let end = |map: &bindings::iomap| map.offset as u64 + map.length;
        let mut last = end(&self.iter.iomap);
        // Of two mappings, the shorter one counts.
        if u32::from(self.iter.srcmap.type_) != bindings::IOMAP_HOLE {
            last = last.min(end(&self.iter.srcmap));
        }
        (last - self.pos()).min(self.iter.len)
    }

    /// Returns whether nothing of the range is left in the mapping.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many bytes of the range are left, in this mapping and in others.
    #[inline]
    pub fn total_len(&self) -> u64 {
        self.iter.len
    }

    /// Returns the type of the mapping.
    #[inline]
    pub fn mapping_type(&self) -> MappingType {
        // CAST: Small numbers.
        match u32::from(self.iter.iomap.type_) {
            bindings::IOMAP_HOLE => MappingType::Hole,
            bindings::IOMAP_MAPPED => MappingType::Mapped,
            bindings::IOMAP_UNWRITTEN => MappingType::Unwritten,
            _ => MappingType::Other,
        }
    }

    #[inline]
    fn has(&self, flag: u32) -> bool {
        // CAST: The flags are 16 bits.
        u32::from(self.iter.iomap.flags) & flag != 0
    }

    /// Returns whether the blocks have just been allocated (`IOMAP_F_NEW`).
    #[inline]
    pub fn is_new(&self) -> bool {
        self.has(bindings::IOMAP_F_NEW)
    }

    /// Returns whether the write needs metadata to be committed for data to be durable
    /// (`IOMAP_F_DIRTY`).
    #[inline]
    pub fn is_dirty(&self) -> bool {
        self.has(bindings::IOMAP_F_DIRTY)
    }

    /// Returns whether the blocks replace others when the write is complete (`IOMAP_F_SHARED`).
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.has(bindings::IOMAP_F_SHARED)
    }

    /// Returns whether bios for the mapping need more than data: protection information
    /// (`IOMAP_F_INTEGRITY`), to be written as a whole or not at all (`IOMAP_F_ATOMIC_BIO`), or to
    /// be mapped when they are submitted (`IOMAP_F_ANON_WRITE`).
    #[inline]
    pub fn has_special_bios(&self) -> bool {
        self.has(
            bindings::IOMAP_F_INTEGRITY
                | bindings::IOMAP_F_ATOMIC_BIO
                | bindings::IOMAP_F_ANON_WRITE,
        )
    }

    /// Returns the sector of the position on the device, in units of 512 bytes.
    #[inline]
    pub fn sector(&self) -> u64 {
        // CAST: As in `len`.
        (self.iter.iomap.addr + (self.pos() - self.iter.iomap.offset as u64)) / 512
    }

    /// Returns the device that the mapping lies on.
    ///
    /// # Errors
    ///
    /// `EIO` if the file system has given none.
    #[inline]
    pub fn device(&self) -> Result<&BlockDevice> {
        let device = self.iter.iomap.bdev;
        if device.is_null() {
            return Err(EIO);
        }
        // SAFETY: The file system has it open as long as a file of it is open.
        Ok(unsafe { BlockDevice::from_raw(device) })
    }
}

impl Drop for Mappings<'_> {
    fn drop(&mut self) {
        if self.iter.iomap.length != 0 {
            self.iter.status = EIO.to_errno();
            // SAFETY: By the type invariant. Finishes the mapping; with the status, there is no
            // other.
            unsafe { bindings::ext_iomap_iter(&mut self.iter, self.ops.as_ptr()) };
        }
    }
}
