// SPDX-License-Identifier: GPL-2.0

//! `io_submit(2)`.

use kernel::{
    prelude::*,
    uaccess::UserPtr, //
};

use kernel_ext::{
    aio::{
        read_address,
        Command,
        Iocb,
        Request,
        Transfer, //
    },
    block::plug::with_plug,
    context::MayIo, //
};

use super::{
    context::{
        ContextRef,
        Data, //
    },
    delays::{
        self,
        Point, //
    },
    stats::Event, //
};

/// With more requests than this, bios are held back in order to submit them together.
const PLUG_THRESHOLD: usize = 2;

/// Submits `nr` requests, whose addresses are at `iocbpp`. May sleep. Returns how many have been
/// submitted.
///
/// # Errors
///
/// - `EINVAL`: the number is negative.
/// - That of the first one, if none has been submitted.
pub(super) fn submit(
    context: &ContextRef,
    nr: isize,
    iocbpp: UserPtr,
    io: &MayIo,
) -> Result<usize> {
    delays::pass(Point::Submit);
    let nr = usize::try_from(nr).map_err(|_| EINVAL)?;
    let nr = nr.min(context.ring().capacity() as usize);
    if nr > PLUG_THRESHOLD {
        with_plug(|| submit_all(context, nr, iocbpp, io))
    } else {
        submit_all(context, nr, iocbpp, io)
    }
}

fn submit_all(context: &ContextRef, nr: usize, iocbpp: UserPtr, io: &MayIo) -> Result<usize> {
    for index in 0..nr {
        let from = iocbpp.wrapping_byte_add(index * size_of::<usize>());
        let submitted = read_address(from, io)
            .and_then(|iocb| submit_one(context, UserPtr::from_addr(iocb), io));
        match submitted {
            Ok(()) => (),
            Err(err) if index == 0 => return Err(err),
            Err(_) => return Ok(index),
        }
    }
    Ok(nr)
}

fn submit_one(context: &ContextRef, user_iocb: UserPtr, io: &MayIo) -> Result {
    let iocb = Iocb::read(user_iocb, io)?;
    // CAST: More than half of what there can be is negative for C.
    if iocb.reserved2 != 0 || (iocb.nbytes as isize) < 0 {
        return Err(EINVAL);
    }
    let request = Request::new(context.clone(), &iocb, user_iocb, io)?;
    Iocb::set_key(user_iocb, io)?;
    issue(request, &iocb, io)?;
    context.stats.inc(Event::Submit);
    Ok(())
}

/// Issues a request.
fn issue(request: Request<Data>, iocb: &Iocb, io: &MayIo) -> Result {
    match iocb.command() {
        Some(Command::Read { vectored }) => request.read_write(iocb, Transfer::Read, vectored, io),
        Some(Command::Write { vectored }) => {
            request.read_write(iocb, Transfer::Write, vectored, io)
        }
        Some(Command::Fsync { data_only }) if iocb.has_no_range() => request.fsync(data_only),
        Some(Command::Poll) if iocb.has_only_events() => request.poll(iocb),
        _ => Err(EINVAL),
    }
}
