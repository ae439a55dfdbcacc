// SPDX-License-Identifier: GPL-2.0

//! The rest of a completion, once there is somebody to run it.

use kernel::prelude::*;

use kernel_ext::{
    block::bio::EndedHead,
    context::{
        Io,
        Irq,
        Task, //
    },
    fs::Kiocb,
    trace, //
};

use super::{
    range::Direction,
    request::Dio,
    route::Needs,
    DioFile,
    OwnPart, //
};

/// Finishes a request that needs no I/O. The result is for whoever issued the request.
pub(crate) fn in_task<F: DioFile>(
    mut head: EndedHead<F>,
    task: &Task,
) -> (Kiocb<F>, Result<usize>) {
    debug_assert!(
        !must_flush(head.data_mut()),
        "a flush was left to who does no I/O"
    );
    after_flush(head, Ok(()), task)
}

/// Finishes a request of any needs, flushing the device's cache itself. The result is for whoever
/// issued the request.
pub(super) fn with_io<F: DioFile>(mut head: EndedHead<F>, io: &Io) -> (Kiocb<F>, Result<usize>) {
    let flushed = if must_flush(head.data_mut()) {
        head.kiocb().target().engine().device.issue_flush(io)
    } else {
        Ok(())
    };
    after_flush(head, flushed, io)
}

/// Does the request want the device's cache flushed?
pub(super) fn must_flush(dio: &mut Dio) -> bool {
    dio.needs() == Needs::Io
}

/// Finishes a request after a flush that began when its data was on the device, and whose result
/// is `flushed`; or that needs none.
// Most requests pass by here, with less to do than a call costs.
#[inline(always)]
pub(super) fn after_flush<F: DioFile>(
    mut head: EndedHead<F>,
    flushed: Result,
    task: &Task,
) -> (Kiocb<F>, Result<usize>) {
    if let Err(err) = flushed {
        head.data().fail(err);
    }
    let Dio {
        direction,
        pos,
        report,
        ..
    } = *head.data();
    match direction {
        // Whoever cleaned the pages while the device wrote to them did not see all of it.
        Direction::Read if head.data_mut().needs() != Needs::Nothing => head.redirty_pages(task),
        Direction::Read => (),
        Direction::Write => {
            // What was read into the cache during the write may be what was there before it, or
            // what a write that has failed put there in its place.
            if head.kiocb().has_cached_pages() {
                head.kiocb()
                    .invalidate_after_write(pos, report as u64, task);
            }
        }
    }
    if F::OWN_PART != OwnPart::None {
        if let Err(err) = head.kiocb().target().completed(head.data(), task) {
            head.data().fail(err);
        }
    }
    take_result(head)
}

/// Finishes a request that needs nothing more.
pub(super) fn in_interrupt<F: DioFile>(head: EndedHead<F>, _irq: &Irq) {
    let (kiocb, ret) = take_result(head);
    kiocb.complete(ret);
}

// Most requests pass by here, with less to do than a call costs.
#[inline(always)]
fn take_result<F: DioFile>(mut head: EndedHead<F>) -> (Kiocb<F>, Result<usize>) {
    let ret = head.data_mut().result();
    trace::complete(head.kiocb(), ret);
    let mut kiocb = head.into_kiocb();
    kiocb.target().engine().checker.end(&kiocb);
    if let Ok(bytes) = ret {
        kiocb.advance(bytes);
    }
    (kiocb, ret)
}
