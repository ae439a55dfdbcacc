// SPDX-License-Identifier: GPL-2.0

//! The interface between a [`File`] and `kernel_ext`: what is called when bios end.

use kernel::prelude::*;

use kernel_ext::{
    block::BlockDevice,
    context::{
        InAtomic,
        MaySleep, //
    },
    dio::{
        BioSet,
        DeviceTarget,
        DioGate,
        DioKiocb,
        DioTarget,
        EndIo,
        EndedBio,
        EndedDio,
        Gated,
        HandOver, //
    },
    fs::iomap::{
        Extent,
        Mapping, //
    },
    task_work::TaskWorkQueue, //
};

use super::{
    complete,
    dispatch,
    end_io,
    file::{
        DioFile,
        File, //
    },
    request::DioState, //
};

impl<F: DioFile> DioTarget for File<F> {
    type State = DioState;

    const DEFERS: bool = true;

    #[inline]
    fn bio_set(&self) -> &BioSet<Self> {
        &self.engine().bios
    }
}

impl<F: DioFile> DeviceTarget for File<F> {
    #[inline]
    fn device(&self) -> &BlockDevice {
        &self.engine().device
    }
}

impl<F: DioFile> Gated for File<F> {
    #[inline]
    fn gate(&self) -> Option<&DioGate> {
        Some(&self.gate)
    }
}

impl<F: DioFile> EndIo for File<F> {
    #[inline]
    fn end_io(bio: EndedBio<Self>, ctx: &InAtomic) {
        end_io::end_io(bio, ctx);
    }
}

impl<F: DioFile> HandOver for File<F> {
    #[inline]
    fn task_work(&self) -> &TaskWorkQueue<EndedDio<Self>> {
        &self.engine().task_work
    }

    fn run(dio: EndedDio<Self>, ctx: &MaySleep) -> (DioKiocb<Self>, Result<usize>) {
        complete::in_task(dio, ctx)
    }

    fn refused(dio: EndedDio<Self>, err: Error) {
        dispatch::refused(dio, err);
    }
}

impl<F: DioFile> Mapping for File<F> {
    #[inline]
    fn map(&self, pos: u64, len: u64) -> Result<Extent> {
        self.inner.map(pos, len)
    }

    #[inline]
    fn block_device(&self) -> &BlockDevice {
        &self.engine().device
    }
}
