// SPDX-License-Identifier: GPL-2.0

//! Polled completions.

use kernel_ext::{
    context::Task,
    fs::kiocb::PollCookie, //
};

use super::{
    complete,
    DioFile,
    Engine, //
};

/// Polls the queue of `cookie` once, and completes what has ended, in this task. Returns how many
/// were completed.
///
/// The driver may have called `end_io` with its own lock held, so that nothing is completed
/// there. What has ended waits in a list instead, of which each poller takes all: one's own
/// request may have been reaped by another.
///
/// Never spins, though the issuer may allow it: the request that it waits for may have been
/// completed by somebody else, and then no queue has anything to wait for. It is up to the issuer,
/// who can tell, to come again.
pub(crate) fn poll<F: DioFile>(engine: &Engine<F>, cookie: Option<PollCookie>, task: &Task) -> u32 {
    if let Some(cookie) = cookie {
        engine.device.poll(cookie, task);
    }
    // Most polls find nothing, and need not take the cache line from those who add.
    if engine.polled.is_empty() {
        return 0;
    }
    reap(engine, task)
}

/// Completes the polled requests that have ended.
fn reap<F: DioFile>(engine: &Engine<F>, task: &Task) -> u32 {
    let mut reaped = 0;
    for head in engine.polled.take_all() {
        let (kiocb, ret) = complete::in_task(head, task);
        kiocb.complete(ret);
        reaped += 1;
    }
    reaped
}
