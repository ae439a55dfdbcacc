// SPDX-License-Identifier: GPL-2.0

//! The interface between an [`Engine`] and `kernel_ext`: what is called when a request begins, when
//! bios end, and when an issuer runs the rest of a completion.

use kernel::prelude::*;

use kernel_ext::{
    context::{
        InAtomic,
        MayIo,
        MaySleep, //
    },
    dio::{
        self as ext,
        BioSet,
        DioCall,
        DioGate,
        DioKiocb,
        DioTarget,
        EndIo,
        EndedBio,
        EndedDio,
        Gated,
        HandOver,
        Taken, //
    },
    fs::Kiocb,
    iov::RawIovIter,
    task_work::TaskWorkQueue, //
};

use super::{
    complete,
    dispatch,
    end_io,
    engine::Engine,
    files::Files,
    request::State,
    rw, //
};

impl<F: Files> Gated for Engine<F> {
    #[inline]
    fn gate(&self) -> Option<&DioGate> {
        self.files.gate()
    }
}

impl<F: Files> DioTarget for Engine<F> {
    type State = State;

    const DEFERS: bool = !F::COUNTED;

    #[inline]
    fn bio_set(&self) -> &BioSet<Self> {
        &self.bios
    }
}

impl<F: Files> EndIo for Engine<F> {
    #[inline]
    fn end_io(bio: EndedBio<Self>, ctx: &InAtomic) {
        end_io::end_io(bio, ctx);
    }
}

impl<F: Files> HandOver for Engine<F> {
    #[inline]
    fn task_work(&self) -> &TaskWorkQueue<EndedDio<Self>> {
        &self.task_work
    }

    fn run(dio: EndedDio<Self>, ctx: &MaySleep) -> (DioKiocb<Self>, Result<usize>) {
        complete::in_task(dio, ctx)
    }

    fn refused(dio: EndedDio<Self>, err: Error) {
        dispatch::refused(dio, err);
    }
}

impl<F: Files> ext::Engine for Engine<F> {
    #[inline(always)]
    fn dio_rw(
        kiocb: Kiocb<Self>,
        iter: &mut RawIovIter<'_>,
        call: &DioCall<'_>,
        io: &MayIo,
    ) -> Taken<Self> {
        rw::rw(kiocb, iter, call, io)
    }
}
