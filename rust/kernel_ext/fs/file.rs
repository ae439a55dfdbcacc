// SPDX-License-Identifier: GPL-2.0

//! Operations of regular files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use kernel::{
    ffi::c_int,
    fs::LocalFile,
    prelude::*, //
};

use super::{
    inode::LockedInode,
    iomap::Mapping,
    kiocb::{
        Issued,
        Kiocb,
        PolledKiocb, //
    },
};
use crate::{
    context::{
        MayIo,
        MaySleep, //
    },
    io_uring::{
        IssuedCmd,
        PolledCmd,
        QueuedRequest, //
    },
    iov::RawIovIter, //
};

/// A regular file whose size does not change. The object lives from the creation of its inode until
/// the eviction of the inode. Access times are not kept.
///
/// Buffered reads and mappings go through the page cache, by the file's [`Mapping`].
pub trait FileOperations: Mapping + Sized + Send + Sync + 'static {
    /// The request that a command of io_uring is queued with.
    type Command: QueuedRequest;

    /// Reads directly (`IOCB_DIRECT`) into the memory of `iter`. May sleep, unless
    /// [`Kiocb::is_nowait`].
    fn read(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self>;

    /// Writes directly from the memory of `iter`. May sleep, unless [`Kiocb::is_nowait`].
    ///
    /// The VFS's checks of writes (limits, append) have been done without a lock, which is right
    /// for files whose size does not change. The range is within the file: a write that begins
    /// behind its end has failed with `ENOSPC`, and the memory of one that reaches there is cut.
    fn write(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self>;

    /// Writes through the page cache. May sleep, unless [`Kiocb::is_nowait`].
    fn write_buffered(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self>;

    /// Carries out a command of io_uring (`IORING_OP_URING_CMD`).
    ///
    /// # Errors
    ///
    /// The error that the issuer gets; `EOPNOTSUPP` for an unknown command.
    fn uring_cmd(&self, cmd: IssuedCmd<'_, Self::Command>) -> Result<c_int>;

    /// Polls once for requests of this file. `kiocb` is one that its issuer polls for. Must not
    /// wait for a request to end.
    ///
    /// Returns how many requests were completed.
    fn iopoll(&self, kiocb: &PolledKiocb<'_>, ctx: &MaySleep) -> u32;

    /// As [`iopoll`](Self::iopoll), for a command.
    fn uring_cmd_iopoll(&self, cmd: &PolledCmd<'_, Self::Command>, ctx: &MaySleep) -> u32;

    /// Makes what has been written durable. The VFS has written back the page cache before. Sleeps
    /// and does I/O.
    ///
    /// # Errors
    ///
    /// The device's error.
    fn fsync(&self, io: &MayIo) -> Result;

    /// Carries out `fallocate(2)` on `file`, which is an open file of this inode. `pos` and `len`
    /// are in bytes; their sum does not overflow. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The error that the caller of `fallocate(2)` gets; `EOPNOTSUPP` for an unknown mode.
    fn fallocate(&self, file: &LocalFile, mode: c_int, pos: u64, len: u64, io: &MayIo) -> Result;

    /// Called before the size is changed to `size` bytes. May sleep.
    ///
    /// # Errors
    ///
    /// The error that the caller of `truncate(2)` gets.
    fn set_size(&self, inode: &LockedInode<'_>, size: u64, io: &MayIo) -> Result;
}
