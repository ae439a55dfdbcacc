// SPDX-License-Identifier: GPL-2.0

//! Mappings of file ranges to a device.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

use crate::{
    bindings,
    block::BlockDevice,
    fs::inode, //
};

/// A contiguous range of a file on its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its first sector on the device, in units of 512 bytes.
    pub sector: u64,
    /// Its length in bytes, a multiple of the logical block size.
    pub len: u64,
}

/// A file whose ranges lie on a block device.
///
/// # Examples
///
/// ```
/// use kernel_ext::{block::{BdevFile, BlockDevice}, fs::iomap::{Extent, Mapping}};
///
/// /// A file that covers a device from its first sector on.
/// struct Linear(BdevFile);
///
/// impl Mapping for Linear {
///     fn map(&self, pos: u64, len: u64) -> Result<Extent> {
///         Ok(Extent { sector: pos / 512, len })
///     }
///
///     fn block_device(&self) -> &BlockDevice {
///         &self.0
///     }
/// }
/// ```
pub trait Mapping {
    /// Maps `len` bytes at `pos`, both in bytes and within the file; `pos` is a multiple of the
    /// logical block size. The extent begins at `pos`. It may be longer than `len`, or shorter, but
    /// not empty. Must not sleep.
    ///
    /// The mapping of a range must not change as long as the file is in use, because pages are
    /// written back to where they were mapped.
    ///
    /// # Errors
    ///
    /// The error that the issuer gets.
    fn map(&self, pos: u64, len: u64) -> Result<Extent>;

    /// Returns the device that the ranges lie on.
    fn block_device(&self) -> &BlockDevice;
}

/// The mapping of no range.
pub(crate) const EMPTY: bindings::iomap = bindings::iomap {
    // `IOMAP_NULL_ADDR`
    addr: u64::MAX,
    offset: 0,
    length: 0,
    type_: bindings::IOMAP_HOLE as u16,
    flags: 0,
    bdev: core::ptr::null_mut(),
    dax_dev: core::ptr::null_mut(),
    inline_data: core::ptr::null_mut(),
    private: core::ptr::null_mut(),
    validity_cookie: 0,
};

/// Returns the operations that map files with data `T`.
#[inline]
pub(crate) fn operations<T: Mapping>() -> &'static bindings::iomap_ops {
    &IomapVTable::<T>::OPERATIONS
}

/// The C operations that return the mappings of files with data `T`.
pub(super) struct IomapVTable<T>(PhantomData<T>);

impl<T: Mapping> IomapVTable<T> {
    /// The `struct iomap_ops`.
    pub(super) const OPERATIONS: bindings::iomap_ops = bindings::iomap_ops {
        iomap_begin: None,
        iomap_end: None,
        iomap_next: Some(Self::next),
    };

    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn next(
        iter: *const bindings::iomap_iter,
        iomap: *mut bindings::iomap,
        srcmap: *mut bindings::iomap,
    ) -> c_int {
        // SAFETY: iomap passes a valid iterator and its mappings. A mapping that iomap is done with
        // needs no cleanup.
        unsafe {
            if (*iomap).length != 0 {
                let more = bindings::iomap_iter_continue(iter, iomap, srcmap, 0);
                if more <= 0 {
                    return more;
                }
            }
        }
        from_result(|| {
            // SAFETY: As above; the inode is that of such a file. CAST: Positions are not negative.
            unsafe {
                let inode = NonNull::new_unchecked((*iter).inode);
                let write = (*iter).flags & bindings::IOMAP_WRITE != 0;
                *iomap = Self::begin(inode, (*iter).pos as u64, (*iter).len, write)?;
            }
            Ok(1)
        })
    }

    /// Returns the mapping that contains `pos`, for up to `len` bytes from there.
    ///
    /// Reads find a hole behind the end of the file, because the last page may reach beyond it.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, and that of such a file.
    // Hot path: the mapping is large, and would be copied.
    #[inline(always)]
    pub(super) unsafe fn begin(
        inode: NonNull<bindings::inode>,
        pos: u64,
        len: u64,
        write: bool,
    ) -> Result<bindings::iomap> {
        // SAFETY: By the safety requirements of this function. CAST: Sizes are not negative.
        let (file, size) = unsafe {
            (
                inode::data::<T>(inode.as_ptr()),
                bindings::ext_i_size_read(inode.as_ptr()) as u64,
            )
        };
        if pos >= size {
            return if write { Err(EIO) } else { Ok(hole(pos, len)) };
        }
        let device = file.block_device();
        // A power of two.
        let offset = pos & !(u64::from(device.logical_block_size()) - 1);
        let extent = file.map(offset, len.min(size - pos) + (pos - offset))?;
        if extent.len <= pos - offset {
            return Err(EIO);
        }
        Ok(bindings::iomap {
            addr: extent.sector * 512,
            offset: offset as bindings::loff_t,
            length: extent.len,
            type_: bindings::IOMAP_MAPPED as u16,
            bdev: device.as_raw(),
            ..EMPTY
        })
    }
}

/// Returns the mapping of `len` bytes at `pos` that are not on the device.
fn hole(pos: u64, len: u64) -> bindings::iomap {
    bindings::iomap {
        offset: pos as bindings::loff_t,
        length: len,
        ..EMPTY
    }
}
