// SPDX-License-Identifier: GPL-2.0

//! The rest of a completion, once there is somebody to run it.

use kernel::prelude::*;

use kernel_ext::{
    block::bio::EndedHead,
    fs::Kiocb, //
};

use super::{
    range::Direction,
    request::Dio,
    route::Needs,
    DioFile, //
};

/// Finishes a request of any needs, flushing the device's cache itself. Sleeps and does I/O.
///
/// The result is for whoever issued the request.
pub(super) fn in_task<F: DioFile>(head: EndedHead<F>) -> (Kiocb<F>, Result<usize>) {
    let flushed = if must_flush(head.data()) {
        head.kiocb().target().engine().device.issue_flush()
    } else {
        Ok(())
    };
    after_flush(head, flushed)
}

/// Does the request want the device's cache flushed?
pub(super) fn must_flush(dio: &Dio) -> bool {
    dio.needs() == Needs::Io && !dio.has_failed()
}

/// Finishes a request after a flush that began when its data was on the device, and whose result
/// is `flushed`; or that needs none. Sleeps.
pub(super) fn after_flush<F: DioFile>(
    mut head: EndedHead<F>,
    flushed: Result,
) -> (Kiocb<F>, Result<usize>) {
    // Whoever cleaned the pages while the device wrote to them did not see all of it.
    if head.data().direction == Direction::Read && head.data().needs() != Needs::Nothing {
        head.redirty_pages();
    }
    if let Err(err) = flushed {
        head.data().fail(err);
    }
    take_result(head)
}

/// Finishes a request that needs nothing more. Any context.
pub(super) fn in_interrupt<F: DioFile>(head: EndedHead<F>) {
    let (kiocb, ret) = take_result(head);
    kiocb.complete(ret);
}

fn take_result<F: DioFile>(head: EndedHead<F>) -> (Kiocb<F>, Result<usize>) {
    let ret = head.data().result();
    let mut kiocb = head.into_kiocb();
    if let Ok(bytes) = ret {
        kiocb.advance(bytes);
    }
    (kiocb, ret)
}
