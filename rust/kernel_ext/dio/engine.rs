// SPDX-License-Identifier: GPL-2.0

//! What carries out direct I/O.

use super::{
    call::DioCall,
    gate::Gated, //
};
use crate::{
    context::MayIo,
    fs::{
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

/// What takes the direct I/O of a file system, or of a file that this crate has made.
pub trait Engine: Gated + Send + Sync + Sized + 'static {
    /// Carries out a request, or passes it on. May sleep, unless [`Kiocb::is_nowait`].
    ///
    /// Must not be passed on if anything of it has been done that the kernel's own code would do
    /// again.
    fn dio_rw(
        kiocb: Kiocb<Self>,
        iter: &mut RawIovIter<'_>,
        call: &DioCall<'_>,
        io: &MayIo,
    ) -> Taken<Self>;
}

/// The state of a request after its submission to an [`Engine`].
pub enum Taken<T> {
    /// The engine has taken the request.
    Issued(Issued<T>),
    /// The kernel's own code gets the request.
    Passed(Kiocb<T>),
}

/// Has the target of `kiocb` carry out a request, or pass it on.
// Hot path: values are moved between these functions otherwise.
#[inline(always)]
pub(super) fn take<T: Engine>(
    kiocb: Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    call: &DioCall<'_>,
    io: &MayIo,
) -> Taken<T> {
    let iocb = kiocb.as_raw();
    let taken = T::dio_rw(kiocb, iter, call, io);
    if let Taken::Issued(Issued::Done(kiocb, _)) | Taken::Passed(kiocb) = &taken {
        // Another kiocb would never be completed.
        assert!(kiocb.as_raw() == iocb, "another kiocb was returned");
    }
    taken
}
