// SPDX-License-Identifier: GPL-2.0

//! Buffered writes.

use core::ptr::{
    self,
    NonNull, //
};

use kernel::{
    error::to_result,
    prelude::*, //
};

use super::mapping::{
    IomapVTable,
    Mapping, //
};
use crate::{
    bindings,
    context::MayIo,
    fs::{
        inode::LockedInode,
        kiocb::{
            from_ki_result,
            to_ki_result,
            Kiocb, //
        },
    },
    iov::RawIovIter, //
};

/// Writes to the page cache, and from there to the device if the request is durable. Sleeps, unless
/// [`Kiocb::is_nowait`].
///
/// `exclude` is called with the inode locked, before anything is written; what it returns is
/// dropped before the inode is unlocked.
///
/// # Errors
///
/// - `EAGAIN`: the request must not sleep, and would.
/// - `ENOSPC`: it begins behind the end of the file.
/// - `EINVAL`: the target of the request is not the data of its inode.
/// - the errors of `exclude`, of the VFS's checks, and of the device.
pub(crate) fn buffered_write<T: Mapping, E>(
    kiocb: &mut Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    _io: &MayIo,
    exclude: impl FnOnce(&LockedInode<'_>) -> Result<E>,
) -> Result<usize> {
    // SAFETY: The inode is valid as long as the request.
    let data = unsafe { (*kiocb.inode()).i_private };
    if !ptr::eq(data.cast(), kiocb.target()) {
        return Err(EINVAL);
    }
    let nowait = kiocb.is_nowait();
    if nowait && kiocb.is_dsync() {
        // The issuer would sleep for the writeback.
        return Err(EAGAIN);
    }
    // SAFETY: The inode is valid as long as the request, and not at NULL.
    let inode = unsafe {
        let inode = NonNull::new_unchecked(kiocb.inode());
        if nowait {
            LockedInode::try_lock(inode).ok_or(EAGAIN)?
        } else {
            LockedInode::lock(inode)
        }
    };
    let excluded = exclude(&inode)?;
    let written = write_locked(kiocb, iter, &inode);
    drop(excluded);
    drop(inode);
    match written? {
        0 => Ok(0),
        // SAFETY: The kiocb is valid, and so many bytes have been written up to its position.
        written => from_ki_result(unsafe {
            bindings::ext_generic_write_sync(kiocb.as_raw(), to_ki_result(Ok(written)))
        }),
    }
}

/// Writes to the page cache with the inode of the request locked. The target of the request must be
/// the data of its inode.
fn write_locked<T: Mapping>(
    kiocb: &mut Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    inode: &LockedInode<'_>,
) -> Result<usize> {
    let iocb = kiocb.as_raw();
    // SAFETY: Kiocb and iterator are valid and exclusively ours.
    if from_ki_result(unsafe { bindings::generic_write_checks(iocb, iter.as_raw()) })? == 0 {
        return Ok(0);
    }
    let left = inode.size().saturating_sub(kiocb.ki_pos());
    if left == 0 {
        return Err(ENOSPC);
    }
    // SAFETY: As above; the inode is locked.
    to_result(unsafe { bindings::kiocb_modified(iocb) })?;
    iter.with_limit(left, |iter| {
        // SAFETY: As above. The operations are those of files with data `T`, which the caller has
        // checked this one to be.
        from_ki_result(unsafe {
            bindings::iomap_file_buffered_write(
                iocb,
                iter.as_raw(),
                &IomapVTable::<T>::OPERATIONS,
                ptr::null(),
                ptr::null_mut(),
            )
        })
    })
}
