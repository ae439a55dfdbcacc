// SPDX-License-Identifier: GPL-2.0

//! Writes to the page cache.

use core::ptr::{
    null,
    null_mut,
    NonNull, //
};

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::IomapVTable;
use crate::{
    bindings,
    fs::{
        file::{
            FileOperations,
            Issued, //
        },
        inode::InodeGuard,
        kiocb::{
            from_ki_result,
            to_ki_result,
            Kiocb, //
        },
    },
    iov::IovIter,
};

/// Writes to the page cache, and from there to the device if the request asks for it. Sleeps,
/// unless `IOCB_NOWAIT`; may do I/O.
///
/// # Errors
///
/// - `EAGAIN`: the request must not sleep, and would.
/// - `ENOSPC`: it begins behind the end of the file.
/// - what [`generic_write_checks`](bindings::generic_write_checks) finds fault with, and whatever
///   the device answers.
///
/// # Safety
///
/// `iocb` must be a valid kiocb of a file with data `T`, and not be completed before this returns.
pub(in crate::fs) unsafe fn buffered_write<T: FileOperations>(
    iocb: NonNull<bindings::kiocb>,
    iter: &mut IovIter<'_>,
) -> Result<usize> {
    let iocb = iocb.as_ptr();
    // SAFETY: Per the function's safety requirements.
    let (nowait, dsync, inode) = unsafe {
        (
            (*iocb).ki_flags & bindings::EXT_IOCB_NOWAIT != 0,
            bindings::rnull_dio_iocb_is_dsync(iocb),
            NonNull::new_unchecked((*(*iocb).ki_filp).f_inode),
        )
    };
    if nowait && dsync {
        // What shall be durable has to be waited for.
        return Err(EAGAIN);
    }
    // SAFETY: The file keeps its inode.
    let inode = unsafe {
        if nowait {
            InodeGuard::try_lock(inode).ok_or(EAGAIN)?
        } else {
            InodeGuard::lock(inode)
        }
    };
    // SAFETY: Per the function's safety requirements.
    let written = unsafe { write_locked::<T>(iocb, iter, &inode)? };
    drop(inode);
    if written == 0 {
        return Ok(0);
    }
    // SAFETY: As above; so many bytes have been written up to the kiocb's position.
    // CAST: They are at most `MAX_RW_COUNT`.
    from_ki_result(unsafe { bindings::rnull_dio_generic_write_sync(iocb, written as isize) })
}

/// # Safety
///
/// As for [`buffered_write`]; `inode` must be the file's.
unsafe fn write_locked<T: FileOperations>(
    iocb: *mut bindings::kiocb,
    iter: &mut IovIter<'_>,
    inode: &InodeGuard<'_>,
) -> Result<usize> {
    // SAFETY: Per the function's safety requirements.
    if from_ki_result(unsafe { bindings::generic_write_checks(iocb, iter.as_ptr()) })? == 0 {
        return Ok(0);
    }
    // SAFETY: As above. CAST: The checks have refused negative positions.
    let pos = unsafe { (*iocb).ki_pos as u64 };
    let left = inode.size().saturating_sub(pos);
    if left == 0 {
        return Err(ENOSPC);
    }
    // SAFETY: As above; the inode is locked.
    to_result(unsafe { bindings::kiocb_modified(iocb) })?;
    iter.with_limit(left, |iter| {
        // SAFETY: As above. The operations are those of such files.
        from_ki_result(unsafe {
            bindings::iomap_file_buffered_write(
                iocb,
                iter.as_ptr(),
                &IomapVTable::<T>::OPERATIONS,
                null(),
                null_mut(),
            )
        })
    })
}

/// Does a direct write by way of the page cache, as that could not be emptied for it (`ENOTBLK`).
///
/// When this returns, the data is on the device as after a direct write, and the page cache has
/// been emptied as far as nobody uses it. Nothing of `iter` must have been used up. Sleeps and does
/// I/O.
///
/// The issuer gets `EAGAIN` if the request must not sleep, otherwise what a buffered write gets.
pub fn direct_write_fallback<T: FileOperations>(
    mut kiocb: Kiocb<T>,
    iter: &mut IovIter<'_>,
) -> Issued<T> {
    if kiocb.is_nowait() {
        return Issued::Done(kiocb, Err(EAGAIN));
    }
    // Whoever holds the inode's lock may be waiting for direct I/O.
    kiocb.end_dio();
    let iocb = kiocb.as_raw();
    // SAFETY: The kiocb is a valid one for a file with data `T`, and completed afterwards.
    let ret = match unsafe { buffered_write::<T>(iocb, iter) } {
        // SAFETY: As above; so many bytes have been written up to the kiocb's position.
        Ok(written) if written > 0 => from_ki_result(unsafe {
            bindings::direct_write_fallback(
                iocb.as_ptr(),
                iter.as_ptr(),
                0,
                to_ki_result(Ok(written)),
            )
        }),
        other => other,
    };
    Issued::Done(kiocb, ret)
}
