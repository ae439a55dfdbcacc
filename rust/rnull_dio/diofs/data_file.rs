// SPDX-License-Identifier: GPL-2.0

//! The file `data`.

use kernel::{
    ffi::c_int,
    fs::LocalFile,
    prelude::*,
    str::CString, //
};

use kernel_ext::{
    context::{
        MayIo,
        MaySleep, //
    },
    dio::{
        self as ext,
        uring,
        DeviceTarget,
        ZeroRange, //
    },
    fs::{
        iomap::{
            Extent,
            Mapping, //
        },
        FileOperations,
        Issued,
        Kiocb,
        LockedInode,
        PolledKiocb, //
    },
    io_uring::{
        IssuedCmd,
        PolledCmd, //
    },
    iov::RawIovIter, //
};

use crate::dio::{
    self,
    DioFile,
    Direction,
    File, //
};

use super::{
    command,
    signature::Signature, //
};

/// The file that covers the device linearly, behind the signature.
pub(crate) struct DataFile {
    /// For the log.
    pub(super) device_name: CString,
    pub(super) signature: Signature,
}

impl DioFile for DataFile {
    #[inline]
    fn size(&self) -> u64 {
        self.signature.data_len()
    }

    #[inline]
    fn map(&self, pos: u64, _len: u64) -> Result<Extent> {
        Ok(Extent {
            sector: self.signature.data_sector() + pos / 512,
            len: self.size().checked_sub(pos).ok_or(EIO)?,
        })
    }
}

impl FileOperations for File<DataFile> {
    type Command = uring::Request;

    fn read(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self> {
        dio::submit(Direction::Read, kiocb, iter, io)
    }

    fn write(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self> {
        match dio::submit(Direction::Write, kiocb, iter, io) {
            // Pages of the range are in use.
            Issued::Done(kiocb, Err(err)) if err == ENOTBLK => {
                ext::direct_write_fallback(kiocb, iter, io)
            }
            issued => issued,
        }
    }

    fn write_buffered(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self> {
        ext::buffered_write(kiocb, iter, io)
    }

    fn uring_cmd(&self, cmd: IssuedCmd<'_, Self::Command>) -> Result<c_int> {
        uring::issue(cmd, command::decode)
    }

    fn iopoll(&self, kiocb: &PolledKiocb<'_>, ctx: &MaySleep) -> u32 {
        dio::poll(self.engine(), ext::poll_cookie(kiocb), ctx)
    }

    fn uring_cmd_iopoll(&self, cmd: &PolledCmd<'_, Self::Command>, ctx: &MaySleep) -> u32 {
        dio::poll(self.engine(), uring::poll_cookie(cmd), ctx)
    }

    fn fsync(&self, io: &MayIo) -> Result {
        File::fsync(self, io)
    }

    fn fallocate(&self, file: &LocalFile, mode: c_int, pos: u64, len: u64, io: &MayIo) -> Result {
        ext::fallocate(self, file, mode, pos, len, io)
    }

    fn set_size(&self, inode: &LockedInode<'_>, size: u64, io: &MayIo) -> Result {
        let _exclusion = self.gate.exclude(inode, self.device(), io);
        if size == self.inner.size() {
            return Ok(());
        }
        let name = &*self.inner.device_name;
        pr_notice!("diofs ({name}): data: the size of the file is fixed\n");
        Err(EPERM)
    }
}

impl ZeroRange for File<DataFile> {
    fn zero(&self, pos: u64, len: u64, io: &MayIo) -> Result {
        let extent = self.map(pos, len)?;
        self.engine().device.zero(extent.sector, len / 512, io)
    }
}
