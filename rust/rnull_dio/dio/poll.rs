// SPDX-License-Identifier: GPL-2.0

//! Polled completions.

use kernel_ext::{
    block::{
        poll::PollCookie,
        BlockDevice, //
    },
    context::MaySleep,
    dio::trace,
    sync::llist::LockLessList, //
};

use super::{
    complete,
    engine::Engine,
    files::Files,
    needs::Needs, //
};

/// Polls the hardware queue of `cookie` of `device` once, and completes the polled requests that have ended, in
/// this task. Returns how many were completed.
///
/// The driver may call `end_io` with a lock held, so a request is not completed there. It is put on
/// a list, which each reaper takes as a whole, because another poller may have found the request
/// that this task polls for.
///
/// Never spins, although the issuer may allow it, because no hardware queue finds a request that
/// another poller has completed. The issuer polls again if its request is not complete.
pub(crate) fn poll<F: Files>(
    engine: &Engine<F>,
    device: &BlockDevice,
    cookie: Option<PollCookie>,
    ctx: &MaySleep,
) -> u32 {
    if let Some(cookie) = cookie {
        device.poll(cookie, ctx);
    }
    // Most polls find nothing, and need not take the cache line from the contexts that add.
    let reaped = if engine.polled.is_empty() {
        0
    } else {
        reap(engine, ctx)
    };
    trace::poll(device, cookie, reaped);
    reaped
}

/// Completes the polled requests that have ended.
fn reap<F: Files>(engine: &Engine<F>, ctx: &MaySleep) -> u32 {
    let mut reaped = 0;
    // Completions that sleep come last, because no other reaper can find the requests of this
    // batch.
    let sleeping = LockLessList::new();
    for mut dio in engine.polled.take_all() {
        reaped += 1;
        if dio.state_mut().needs() == Needs::Nothing {
            complete::at_once(dio);
        } else {
            sleeping.push(dio);
        }
    }
    if sleeping.is_empty() {
        return reaped;
    }
    for dio in sleeping.take_all() {
        let (kiocb, ret) = complete::in_task(dio, ctx);
        kiocb.complete(ret);
    }
    reaped
}
