// SPDX-License-Identifier: GPL-2.0

//! Files in the page cache, by way of iomap.
//!
//! A file says where its ranges lie, and iomap reads and writes the page cache for it: for
//! `read(2)` and `write(2)` without `O_DIRECT`, and for `mmap(2)`.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

mod address_space;
mod buffered;
mod vm;

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*, //
};

use super::{
    dio_gate::DioGate,
    file::{
        FileOperations,
        FileVTable, //
    },
};
use crate::bindings;

pub use self::buffered::direct_write_fallback;
pub(super) use self::{
    address_space::AddressSpaceVTable,
    buffered::buffered_write,
    vm::VmVTable, //
};

/// A range of a file that lies on the device in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins on the device, in sectors of 512 bytes.
    pub sector: u64,
    /// How long it is, in bytes; a multiple of the logical block size.
    pub len: u64,
}

/// A file whose ranges lie on a device.
pub trait Mapping {
    /// Maps the range that begins at `pos` and is wanted for `len` bytes, in bytes and within the
    /// file; `pos` is a multiple of the logical block size. What is returned may be longer or,
    /// but for 0, shorter. Must not sleep.
    ///
    /// Where a range lies must not change as long as the file is in use: pages are written back
    /// to where they were mapped.
    ///
    /// # Errors
    ///
    /// Whatever the issuer shall get.
    fn map(&self, pos: u64, len: u64) -> Result<Extent>;

    /// What keeps direct I/O out while it would be in the way.
    fn dio_gate(&self) -> &DioGate;
}

/// A mapping of nothing, which lies nowhere.
const EMPTY: bindings::iomap = bindings::iomap {
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

/// The mappings of files with data `T`, as iomap asks for them.
struct IomapVTable<T>(PhantomData<T>);

impl<T: FileOperations> IomapVTable<T> {
    /// The `struct iomap_ops`.
    const OPERATIONS: bindings::iomap_ops = bindings::iomap_ops {
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
        // SAFETY: iomap passes a valid iterator and its mappings. There is nothing to do about one
        // that has been used.
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

    /// The mapping that `pos` is in, and which is wanted for `len` bytes from there.
    ///
    /// Behind the end of the file there is a hole, to be read only: the last page may reach beyond
    /// the end.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, and that of such a file.
    unsafe fn begin(
        inode: NonNull<bindings::inode>,
        pos: u64,
        len: u64,
        write: bool,
    ) -> Result<bindings::iomap> {
        // SAFETY: Per the function's safety requirements. CAST: Sizes are not negative.
        let (file, size) = unsafe {
            (
                FileVTable::<T>::data(inode.as_ptr()),
                bindings::rnull_dio_i_size_read(inode.as_ptr()) as u64,
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
            bdev: device.as_ptr(),
            ..EMPTY
        })
    }
}

fn hole(pos: u64, len: u64) -> bindings::iomap {
    bindings::iomap {
        offset: pos as bindings::loff_t,
        length: len,
        ..EMPTY
    }
}
