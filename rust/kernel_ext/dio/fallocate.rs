// SPDX-License-Identifier: GPL-2.0

//! `fallocate(2)` for files whose blocks are all allocated, with direct I/O excluded.
//!
//! C header: [`include/uapi/linux/falloc.h`](srctree/include/uapi/linux/falloc.h)

use core::ptr::NonNull;

use kernel::{
    error::to_result,
    ffi::c_int,
    fs::LocalFile,
    page::PAGE_SHIFT,
    prelude::*, //
};

use super::gate::Gated;
use crate::{
    bindings,
    compat::error::code::EOPNOTSUPP,
    context::MayIo,
    fs::{
        iomap::Mapping,
        FileOperations,
        LockedInode, //
    },
};

/// A file that can zero ranges on its device.
pub trait ZeroRange: Gated + Mapping + FileOperations {
    /// Zeroes `len` bytes at `pos` on the device, which are whole blocks of the file. Sleeps and
    /// does I/O.
    ///
    /// Direct I/O is excluded, and the page cache has no page of the range.
    ///
    /// # Errors
    ///
    /// The device's error.
    fn zero(&self, pos: u64, len: u64, io: &MayIo) -> Result;
}

/// What `fallocate(2)` does to a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// Allocates blocks.
    Allocate,
    /// Allocates blocks that read as zeroes.
    Zero,
}

impl Mode {
    /// Converts the mode of `fallocate(2)`. `FALLOC_FL_KEEP_SIZE` has no effect, because the size
    /// is fixed.
    fn from_raw(mode: c_int) -> Result<Self> {
        // CAST: Bits.
        match mode as u32 & !bindings::FALLOC_FL_KEEP_SIZE {
            bindings::FALLOC_FL_ALLOCATE_RANGE => Ok(Self::Allocate),
            bindings::FALLOC_FL_ZERO_RANGE => Ok(Self::Zero),
            _ => Err(EOPNOTSUPP),
        }
    }
}

/// The `invalidate_lock` of a mapping, held for writing: no page is added.
///
/// # Invariants
///
/// The pointer is valid, and this task holds the semaphore for writing.
struct InvalidateGuard(*mut bindings::rw_semaphore);

impl InvalidateGuard {
    /// Takes the lock. Sleeps.
    ///
    /// # Safety
    ///
    /// `mapping` must stay valid until the lock is dropped.
    unsafe fn lock(mapping: *mut bindings::address_space) -> Self {
        // SAFETY: By the safety requirements of this function.
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

/// Carries out `fallocate(2)` on `file`, for `len` bytes at `pos`. `target` is the file's data.
/// Sleeps and does I/O.
///
/// # Errors
///
/// - `EOPNOTSUPP`: the mode neither allocates nor zeroes a range.
/// - `ENOSPC`: the range ends behind the end of the file.
/// - `EINVAL`: the range to zero does not consist of whole blocks.
/// - `EBUSY`: a page was dirtied through a mapping again and again.
/// - the device's error.
pub fn fallocate<T: ZeroRange>(
    target: &T,
    file: &LocalFile,
    mode: c_int,
    pos: u64,
    len: u64,
    io: &MayIo,
) -> Result {
    let mode = Mode::from_raw(mode)?;
    let file = file.as_ptr();
    // SAFETY: The file is valid, so its inode is, and is not at NULL.
    let inode = unsafe { LockedInode::lock(NonNull::new_unchecked((*file).f_inode)) };
    let end = pos.checked_add(len).ok_or(ENOSPC)?;
    if end > inode.size() {
        return Err(ENOSPC);
    }
    let block = u64::from(target.block_device().logical_block_size());
    if mode == Mode::Zero && (pos | len) & (block - 1) != 0 {
        return Err(EINVAL);
    }
    let gate = target.gate().ok_or(EOPNOTSUPP)?;
    let _exclusion = gate.exclude(&inode, target.block_device(), io);
    // SAFETY: The file is valid, and its inode is locked.
    to_result(unsafe { bindings::file_modified(file.cast()) })?;
    if mode == Mode::Allocate {
        return Ok(());
    }
    zero(target, &inode, pos, len, io)?;
    // SAFETY: The file is valid.
    if unsafe { bindings::ext_file_is_dsync(file.cast()) } {
        target.fsync(io)?;
    }
    Ok(())
}

/// How often to try to drop pages that tasks keep dirtying through mappings.
const ATTEMPTS: u32 = 10;

/// Drops the pages that have any of the bytes from `first` to `last`. Dirty pages are written back
/// before. The mapping's `invalidate_lock` must be held for writing.
///
/// This includes clean pages that lie in the range in part: a deferred direct write may already
/// have dropped `i_dio_count` without having invalidated the page yet, so the page may be stale.
///
/// # Errors
///
/// `EBUSY` if a page was dirtied through a mapping again and again; otherwise the error of the
/// writeback.
fn drop_pages(inode: &LockedInode<'_>, first: u64, last: u64) -> Result {
    // CAST: Positions in a file fit.
    let (pages, bytes) = (
        (
            (first >> PAGE_SHIFT) as usize,
            (last >> PAGE_SHIFT) as usize,
        ),
        (first as bindings::loff_t, last as bindings::loff_t),
    );
    let mut ret = Ok(());
    for _ in 0..ATTEMPTS {
        // SAFETY: The inode is valid, and its mapping is as long.
        unsafe {
            let mapping = (*inode.as_raw()).i_mapping;
            to_result(bindings::filemap_write_and_wait_range(
                mapping, bytes.0, bytes.1,
            ))?;
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

/// Zeroes `len` bytes at `pos` on the device, and drops their pages. The range must consist of one
/// or more whole blocks within the file, and direct I/O must be excluded. Sleeps and does I/O.
fn zero<T: ZeroRange>(
    target: &T,
    inode: &LockedInode<'_>,
    pos: u64,
    len: u64,
    io: &MayIo,
) -> Result {
    // SAFETY: The inode is valid, and its mapping is as long.
    let _lock = unsafe { InvalidateGuard::lock((*inode.as_raw()).i_mapping) };
    drop_pages(inode, pos, pos + len - 1)?;
    target.zero(pos, len, io)
}
