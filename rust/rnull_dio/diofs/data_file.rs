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
            EndedBio, //
        },
        BlockDevice,
    },
    fs::{
        iomap::{
            self,
            direct_write_fallback,
            Mapping, //
        },
        kiocb::PollCookie,
        FileOperations,
        Issued,
        Kiocb, //
    },
    iov::IovIter,
};

use super::{
    Mount,
    Signature, //
};
use crate::dio::{
    self,
    Dio,
    DioFile,
    Direction,
    Engine,
    Extent,
    Worker, //
};

/// The file that lies linearly over the device, behind the signature.
pub(crate) struct DataFile {
    /// For the log.
    device_name: CString,
    signature: Signature,
    engine: Arc<Engine<Self>>,
    worker: Arc<Worker<Self>>,
}

impl DataFile {
    pub(super) fn new(mount: &Mount) -> Result<Pin<KBox<Self>>> {
        let file = Self {
            device_name: (*mount.name).try_into()?,
            signature: mount.signature,
            engine: mount.engine.clone(),
            worker: Worker::new(&mount.engine)?,
        };
        Ok(KBox::pin(file, GFP_KERNEL)?)
    }
}

impl Mapping for DataFile {
    fn map(&self, pos: u64, _len: u64) -> Result<iomap::Extent> {
        let left = self.size().checked_sub(pos).ok_or(EIO)?;
        Ok(iomap::Extent {
            sector: self.signature.data_sector() + pos / 512,
            len: left,
        })
    }
}

impl FileOperations for DataFile {
    fn read(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>) -> Issued<Self> {
        dio::submit(Direction::Read, kiocb, iter)
    }

    fn write(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>) -> Issued<Self> {
        match dio::submit(Direction::Write, kiocb, iter) {
            // Pages of the page cache are in the way, and somebody uses them.
            Issued::Done(kiocb, Err(err)) if err == ENOTBLK => direct_write_fallback(kiocb, iter),
            issued => issued,
        }
    }

    fn poll(&self, cookie: Option<PollCookie>) -> u32 {
        dio::poll(&self.engine, cookie)
    }

    fn fsync(&self) -> Result {
        self.engine.device.issue_flush()
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

    fn end_io(bio: EndedBio<Self>) {
        dio::end_io(bio);
    }
}

impl DioFile for DataFile {
    fn engine(&self) -> &Engine<Self> {
        &self.engine
    }

    fn worker(&self) -> &Arc<Worker<Self>> {
        &self.worker
    }

    fn size(&self) -> u64 {
        self.signature.data_len()
    }

    fn map(&self, pos: u64, len: u64) -> Result<Extent> {
        let iomap::Extent { sector, len } = Mapping::map(self, pos, len)?;
        Ok(Extent { sector, len })
    }
}
