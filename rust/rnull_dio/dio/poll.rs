// SPDX-License-Identifier: GPL-2.0

//! Polled completions.

use kernel_ext::{
    fs::kiocb::PollCookie,
    task, //
};

use super::{
    complete,
    DioFile,
    Engine, //
};

/// Polls the queue of `cookie`, and completes what has ended, in this task. Once, or until there
/// is something or this task is wanted elsewhere if `spin`. Returns how many were completed.
///
/// The driver may have called `end_io` with its own lock held, so that nothing is completed
/// there. What has ended waits in a list instead, of which each poller takes all: one's own
/// request may have been reaped by another.
pub(crate) fn poll<F: DioFile>(engine: &Engine<F>, cookie: Option<PollCookie>, spin: bool) -> u32 {
    loop {
        if let Some(cookie) = cookie {
            engine.device.poll(cookie);
        }
        let reaped = reap(engine);
        if reaped > 0 || !spin || task::must_stop_polling() {
            return reaped;
        }
        kernel::processor::cpu_relax();
    }
}

/// Completes the polled requests that have ended.
fn reap<F: DioFile>(engine: &Engine<F>) -> u32 {
    // Most polls find nothing, and need not take the cache line from those who add.
    if engine.polled.is_empty() {
        return 0;
    }
    let mut reaped = 0;
    for head in engine.polled.take_all() {
        let (kiocb, ret) = complete::in_task(head);
        kiocb.complete(ret);
        reaped += 1;
    }
    reaped
}
