// SPDX-License-Identifier: GPL-2.0

//! The file `data`.

use kernel::{
    ffi::c_int,
    fs::LocalFile,
    prelude::*,
    str::CString, //
};

use kernel_ext::{
    block::{
        BdevFile,
        BlockDevice, //
    },
    context::{
        MayIo,
        MaySleep, //
    },
    dio::{
        self as ext,
        uring,
        DioGate,
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
    Engine,
    Files, //
};

use super::{
    command,
    signature::Signature, //
};

/// The file that covers the device linearly, behind the signature.
pub(crate) struct DataFile {
    /// For the log.
    pub(super) device_name: CString,
    signature: Signature,
    gate: DioGate,
    /// Whether the device has hardware queues, which [`dio::poll`] polls.
    is_mq: bool,
    pub(super) device: BdevFile,
}

impl DataFile {
    pub(super) fn new(device: BdevFile, device_name: CString, signature: Signature) -> Self {
        Self {
            device_name,
            signature,
            gate: DioGate::new(),
            is_mq: device.is_mq(),
            device,
        }
    }

    /// Returns the size of the file in bytes, a multiple of the logical block size of the device.
    #[inline]
    pub(super) fn size(&self) -> u64 {
        self.signature.data_len()
    }
}

impl Files for DataFile {
    /// The file's blocks do not change, and who waits for direct I/O closes the gate.
    const COUNTED: bool = false;

    const WORKERS: usize = 1;

    #[inline]
    fn gate(&self) -> Option<&DioGate> {
        Some(&self.gate)
    }

    #[inline]
    fn may_poll(&self) -> bool {
        self.is_mq
    }
}

impl Mapping for Engine<DataFile> {
    #[inline]
    fn map(&self, pos: u64, _len: u64) -> Result<Extent> {
        Ok(Extent {
            sector: self.files.signature.data_sector() + pos / 512,
            len: self.files.size().checked_sub(pos).ok_or(EIO)?,
        })
    }

    #[inline]
    fn block_device(&self) -> &BlockDevice {
        &self.files.device
    }
}

impl FileOperations for Engine<DataFile> {
    type Command = uring::Request;

    fn read(kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self> {
        ext::direct_io(kiocb, iter, io)
    }

    fn write(mut kiocb: Kiocb<Self>, iter: &mut RawIovIter<'_>, io: &MayIo) -> Issued<Self> {
        if let Err(err) = kiocb.modified() {
            return Issued::Done(kiocb, Err(err));
        }
        match ext::direct_io(kiocb, iter, io) {
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
        dio::poll(self, &self.files.device, ext::poll_cookie(kiocb), ctx)
    }

    fn uring_cmd_iopoll(&self, cmd: &PolledCmd<'_, Self::Command>, ctx: &MaySleep) -> u32 {
        dio::poll(self, &self.files.device, uring::poll_cookie(cmd), ctx)
    }

    fn fsync(&self, io: &MayIo) -> Result {
        // Writes that have ended are on the device, although their issuers may not have the result.
        self.files.device.issue_flush(io)
    }

    fn fallocate(&self, file: &LocalFile, mode: c_int, pos: u64, len: u64, io: &MayIo) -> Result {
        ext::fallocate(self, file, mode, pos, len, io)
    }

    fn set_size(&self, inode: &LockedInode<'_>, size: u64, io: &MayIo) -> Result {
        let _exclusion = self.files.gate.exclude(inode, &self.files.device, io);
        if size == self.files.size() {
            return Ok(());
        }
        let name = &*self.files.device_name;
        pr_notice!("diofs ({name}): data: the size of the file is fixed\n");
        Err(EPERM)
    }
}

impl ZeroRange for Engine<DataFile> {
    fn zero(&self, pos: u64, len: u64, io: &MayIo) -> Result {
        let extent = self.map(pos, len)?;
        self.files.device.zero(extent.sector, len / 512, io)
    }
}
