// SPDX-License-Identifier: GPL-2.0

//! Buffered writes that exclude direct I/O.
//!
//! A buffered write excludes direct I/O while it copies into the page cache. Otherwise it could
//! make a folio dirty that still holds the old data of blocks which a direct write in flight
//! changes. The direct write could not invalidate that folio, and buffered reads would return the
//! old data.

use core::ptr;

use kernel::prelude::*;

use super::gate::Gated;
use crate::{
    bindings,
    compat::error::code::EOPNOTSUPP,
    context::MayIo,
    fs::{
        iomap::{
            self,
            Mapping, //
        },
        kiocb::{
            from_ki_result,
            to_ki_result, //
        },
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

/// Writes to the page cache while direct I/O is excluded. Sleeps, unless [`Kiocb::is_nowait`].
///
/// The issuer gets the bytes written, or
///
/// - `EAGAIN`: the request must not sleep, and the file is locked or direct I/O is in flight.
/// - `ENOSPC`: the request begins behind the end of the file.
/// - the error of the VFS's checks or of the device.
pub fn buffered_write<T: Gated + Mapping>(
    mut kiocb: Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    io: &MayIo,
) -> Issued<T> {
    let ret = write(&mut kiocb, iter, io);
    Issued::Done(kiocb, ret)
}

fn write<T: Gated + Mapping>(
    kiocb: &mut Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    io: &MayIo,
) -> Result<usize> {
    let nowait = kiocb.is_nowait();
    // SAFETY: The target stays until the kiocb is completed, which is after this function.
    let target = unsafe { &*ptr::from_ref(kiocb.target()) };
    let gate = target.gate().ok_or(EOPNOTSUPP)?;
    iomap::buffered_write(kiocb, iter, io, |inode| {
        if nowait {
            gate.try_exclude(inode)
        } else {
            Ok(gate.exclude(inode, target.block_device(), io))
        }
    })
}

/// Carries out a direct write through the page cache, because the page cache could not be emptied
/// for it (`ENOTBLK`). Nothing of `iter` must have been used. Sleeps and does I/O.
///
/// When this returns, the data is on the device as after a direct write, and the pages that are not
/// in use have been dropped.
///
/// The issuer gets `EAGAIN` if the request must not sleep, otherwise the result of
/// [`buffered_write`].
pub fn direct_write_fallback<T: Gated + Mapping>(
    mut kiocb: Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    io: &MayIo,
) -> Issued<T> {
    if kiocb.is_nowait() {
        return Issued::Done(kiocb, Err(EAGAIN));
    }
    let ret = match write(&mut kiocb, iter, io) {
        // SAFETY: The kiocb is valid; so many bytes have been written up to its position.
        Ok(written) if written > 0 => from_ki_result(unsafe {
            bindings::direct_write_fallback(
                kiocb.as_raw(),
                iter.as_raw(),
                0,
                to_ki_result(Ok(written)),
            )
        }),
        other => other,
    };
    Issued::Done(kiocb, ret)
}
