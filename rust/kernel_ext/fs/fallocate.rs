// SPDX-License-Identifier: GPL-2.0

//! `fallocate(2)`, for files that have all of their blocks.
//!
//! C header: [`include/uapi/linux/falloc.h`](srctree/include/uapi/linux/falloc.h)

use core::ptr::NonNull;

use kernel::{
    error::to_result,
    ffi::c_int,
    page::PAGE_SHIFT,
    prelude::*, //
};

use super::{
    dio_gate::WithoutDio,
    inode::InodeGuard,
    FileOperations, //
};
use crate::{
    bindings,
    context::Io, //
};

/// What becomes of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// It has blocks.
    Allocate,
    /// It reads as zeros.
    Zero,
}

impl Mode {
    /// Whether the size may grow makes no difference: nothing grows.
    fn from_raw(mode: c_int) -> Result<Self> {
        // CAST: Bits.
        match mode as u32 & !bindings::FALLOC_FL_KEEP_SIZE {
            bindings::FALLOC_FL_ALLOCATE_RANGE => Ok(Self::Allocate),
            bindings::FALLOC_FL_ZERO_RANGE => Ok(Self::Zero),
            _ => Err(EOPNOTSUPP),
        }
    }
}

/// The `invalidate_lock` of a mapping, held for writing: nobody adds pages.
///
/// # Invariants
///
/// The pointer is valid, and this task holds the semaphore for writing.
struct InvalidateGuard(*mut bindings::rw_semaphore);

impl InvalidateGuard {
    /// Sleeps.
    ///
    /// # Safety
    ///
    /// `mapping` must stay valid until the lock is dropped.
    unsafe fn lock(mapping: *mut bindings::address_space) -> Self {
        // SAFETY: Per the function's safety requirements.
        let sem = unsafe { &raw mut (*mapping).invalidate_lock };
        // SAFETY: The semaphore is valid as long as the mapping.
        unsafe { bindings::down_write(sem) };
        // INVARIANT: It has just been taken.
        Self(sem)
    }
}

impl Drop for InvalidateGuard {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::up_write(self.0) };
    }
}

/// Does what the VFS wants of `file`, whose data is `data`.
///
/// # Errors
///
/// - `EOPNOTSUPP`: any mode but to allocate or to zero a range.
/// - `ENOSPC`: the range ends behind the end of the file.
/// - `EINVAL`: a range to zero that is not one of whole blocks.
/// - whatever the device answers.
///
/// # Safety
///
/// For the VFS to call, with a file that is open for writing and a range that does not overflow.
pub(super) unsafe fn fallocate<T: FileOperations>(
    data: &T,
    file: *mut bindings::file,
    mode: c_int,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    io: &Io,
) -> Result {
    let mode = Mode::from_raw(mode)?;
    // SAFETY: The VFS passes a valid file, which has an inode.
    let inode = unsafe { NonNull::new_unchecked((*file).f_inode) };
    // SAFETY: The inode is valid as long as the file.
    let lock = unsafe { InodeGuard::lock(inode) };
    // CAST: The VFS has seen to it that the sum is not negative.
    if (pos + len) as u64 > lock.size() {
        return Err(ENOSPC);
    }
    let block = bindings::loff_t::from(data.block_device().logical_block_size());
    if mode == Mode::Zero && (pos | len) & (block - 1) != 0 {
        return Err(EINVAL);
    }
    // SAFETY: As above; the lock is dropped later. The file's data is its inode's.
    let _alone = unsafe { WithoutDio::new(data.dio_gate(), inode, io) };
    // SAFETY: The file is valid, and its inode is locked.
    to_result(unsafe { bindings::file_modified(file) })?;
    match mode {
        Mode::Allocate => Ok(()),
        // SAFETY: As above; the range lies in the file.
        Mode::Zero => unsafe { zero(data, file, pos, len, io) },
    }
}

/// How often a page may be dirtied through a mapping while it is being dropped.
const ATTEMPTS: u32 = 10;

/// Drops the pages that have anything of the bytes from `first` to `last` in them; what was dirty
/// is on the device afterwards.
///
/// Not even a clean page can be kept that lies in the range in part: it may be older than what a
/// direct write has put on the device, whose completion has given up its count of `i_dio_count` and
/// has yet to drop the page.
///
/// # Errors
///
/// `EBUSY` if a page is dirtied through a mapping again and again; otherwise whatever the writeback
/// met with.
///
/// # Safety
///
/// `inode` must be valid, its lock and its mapping's `invalidate_lock` be held for writing.
unsafe fn empty_cache(
    inode: *mut bindings::inode,
    first: bindings::loff_t,
    last: bindings::loff_t,
) -> Result {
    // SAFETY: Per the function's safety requirements.
    let mapping = unsafe { (*inode).i_mapping };
    // CAST: Positions in a file fit.
    let pages = (
        (first >> PAGE_SHIFT) as usize,
        (last >> PAGE_SHIFT) as usize,
    );
    let mut ret = Ok(());
    for _ in 0..ATTEMPTS {
        // SAFETY: The mapping is valid as long as the inode.
        unsafe {
            to_result(bindings::filemap_write_and_wait_range(mapping, first, last))?;
            ret = to_result(bindings::invalidate_inode_pages2_range(
                mapping, pages.0, pages.1,
            ));
        }
        if ret != Err(EBUSY) {
            break;
        }
    }
    ret
}

/// Zeroes whole blocks, on the device and in the page cache.
///
/// # Safety
///
/// `file` must be valid, its data `data` and its inode locked. The range must not be empty, nor end
/// behind the end of the file.
unsafe fn zero<T: FileOperations>(
    data: &T,
    file: *mut bindings::file,
    pos: bindings::loff_t,
    len: bindings::loff_t,
    io: &Io,
) -> Result {
    // SAFETY: Per the function's safety requirements.
    let inode = unsafe { (*file).f_inode };
    // SAFETY: The mapping is valid as long as the inode.
    let _lock = unsafe { InvalidateGuard::lock((*inode).i_mapping) };
    // SAFETY: As above; both locks are held.
    unsafe { empty_cache(inode, pos, pos + len - 1)? };
    // CAST: Neither is negative.
    data.zero(pos as u64, len as u64, io)?;
    // SAFETY: Per the function's safety requirements.
    if unsafe { bindings::rnull_dio_file_is_dsync(file) } {
        data.fsync(io)?;
    }
    Ok(())
}
