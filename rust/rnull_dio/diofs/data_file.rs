// SPDX-License-Identifier: GPL-2.0

//! The file `data`.

use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

use kernel_ext::{
    block::{
        bio::{
            BioSet,
            BioTarget,
            EndedBio,
            EndedHead, //
        },
        BlockDevice,
    },
    context::{
        Io,
        Irq,
        Task, //
    },
    fs::{
        dio_gate::DioGate,
        iomap::{
            direct_write_fallback,
            Extent,
            Mapping, //
        },
        kiocb::PollCookie,
        FileOperations,
        Issued,
        Kiocb, //
    },
    io_uring::{
        Transfer,
        PAYLOAD, //
    },
    iov::IovIter,
    task_work::Mailboxes,
    workqueue::IoWork, //
};

use super::{
    command,
    Mount,
    Signature, //
};
use crate::dio::{
    self,
    Dio,
    DioFile,
    Direction,
    Engine,
    Worker, //
};

/// The file that lies linearly over the device, behind the signature.
pub(crate) struct DataFile {
    /// For the log.
    device_name: CString,
    signature: Signature,
    engine: Arc<Engine<Self>>,
    worker: Arc<IoWork<Worker<Self>>>,
    dio_gate: DioGate,
}

impl DataFile {
    pub(super) fn new(mount: &Mount) -> Result<Pin<KBox<Self>>> {
        let file = Self {
            device_name: (*mount.name).try_into()?,
            signature: mount.signature,
            engine: mount.engine.clone(),
            worker: Worker::new(&mount.engine)?,
            dio_gate: DioGate::new(),
        };
        Ok(KBox::pin(file, GFP_KERNEL)?)
    }
}

impl Mapping for DataFile {
    fn map(&self, pos: u64, _len: u64) -> Result<Extent> {
        let left = self.size().checked_sub(pos).ok_or(EIO)?;
        Ok(Extent {
            sector: self.signature.data_sector() + pos / 512,
            len: left,
        })
    }

    fn dio_gate(&self) -> &DioGate {
        &self.dio_gate
    }
}

impl FileOperations for DataFile {
    #[inline]
    fn read(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>, io: &Io) -> Issued<Self> {
        dio::submit(Direction::Read, kiocb, iter, io)
    }

    #[inline]
    fn write(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>, io: &Io) -> Issued<Self> {
        match dio::submit(Direction::Write, kiocb, iter, io) {
            // Pages of the page cache are in the way, and somebody uses them.
            Issued::Done(kiocb, Err(err)) if err == ENOTBLK => direct_write_fallback(kiocb, iter),
            issued => issued,
        }
    }

    fn decode(op: u32, payload: &[u8; PAYLOAD]) -> Result<Transfer> {
        command::decode(op, payload)
    }

    fn poll(&self, cookie: Option<PollCookie>, task: &Task) -> u32 {
        dio::poll(&self.engine, cookie, task)
    }

    fn fsync(&self, io: &Io) -> Result {
        // What has ended is to be durable, even if its issuer has not been told yet.
        self.worker.flush(io);
        self.engine.device.issue_flush(io)
    }

    fn zero(&self, pos: u64, len: u64, io: &Io) -> Result {
        let extent = self.map(pos, len)?;
        self.engine.device.zero(extent.sector, len / 512, io)
    }

    fn set_size(&self, size: u64) -> Result {
        if size == self.size() {
            return Ok(());
        }
        kernel::pr_notice!("diofs ({}): data: its size is fixed\n", &*self.device_name);
        Err(EPERM)
    }

    fn block_device(&self) -> &BlockDevice {
        &self.engine.device
    }
}

impl BioTarget for DataFile {
    type Data = Dio;

    fn bio_set(&self) -> &BioSet<Self> {
        &self.engine.bios
    }

    fn device(&self) -> &BlockDevice {
        &self.engine.device
    }

    #[inline]
    fn end_io(bio: EndedBio<Self>, irq: &Irq) {
        dio::end_io(bio, irq);
    }

    fn mailboxes(&self) -> &Mailboxes<EndedHead<Self>> {
        &self.engine.mailboxes
    }

    fn finish(head: EndedHead<Self>, task: &Task) -> (Kiocb<Self>, Result<usize>) {
        dio::finish(head, task)
    }

    fn refused(head: EndedHead<Self>, err: Error) {
        dio::refused(head, err);
    }
}

impl DioFile for DataFile {
    fn engine(&self) -> &Engine<Self> {
        &self.engine
    }

    fn worker(&self) -> &Arc<IoWork<Worker<Self>>> {
        &self.worker
    }

    fn size(&self) -> u64 {
        self.signature.data_len()
    }
}
