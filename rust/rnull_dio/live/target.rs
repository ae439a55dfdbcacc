// SPDX-License-Identifier: GPL-2.0

//! The interface between a [`LiveFs`] and `kernel_ext`: what is called when a request begins, and
//! when bios end.

use kernel_ext::{
    context::{
        InAtomic,
        MayIo, //
    },
    dio::{
        self as ext,
        BioSet,
        DioCall,
        DioGate,
        DioTarget,
        EndedBio,
        Gated,
        Taken, //
    },
    fs::Kiocb,
    iov::RawIovIter,
    percpu_ref::Users, //
};

use super::{
    end_io,
    fs::LiveFs,
    request::State,
    rw, //
};

impl Gated for LiveFs {
    #[inline]
    fn gate(&self) -> Option<&DioGate> {
        None
    }

    #[inline]
    fn users(&self) -> Option<&Users> {
        Some(&self.users)
    }
}

impl DioTarget for LiveFs {
    type State = State;

    /// Their issuers may be waiting for `i_dio_count`, which they hold.
    const DEFERS: bool = false;

    #[inline]
    fn bio_set(&self) -> &BioSet<Self> {
        &self.bios
    }
}

impl ext::EndIo for LiveFs {
    #[inline]
    fn end_io(bio: EndedBio<Self>, ctx: &InAtomic) {
        end_io::end_io(bio, ctx);
    }
}

impl ext::Engine for LiveFs {
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
