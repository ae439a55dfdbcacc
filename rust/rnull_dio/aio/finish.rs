// SPDX-License-Identifier: GPL-2.0

//! Deferral: completions that a task which waits in `io_getevents(2)` finishes.
//!
//! A completion that has to sleep is left to a task that waits for results of the context, and for
//! nothing else. The request is still counted in `i_dio_count` and as a writer of its file system, so
//! that another task may be waiting for it. The task that waits for results therefore is woken at
//! once, however many results it waits for, and finishes all such completions before it accesses
//! user space, which could wait for a lock that the other task holds.
//!
//! Without a task that waits, the worker of the inode finishes the completion.

use kernel::{
    prelude::*,
    sync::atomic::ordering::Full, //
};

use kernel_ext::{
    aio::Unfinished,
    context::MayIo,
    sync::llist::LockLessList, //
};

use super::{
    context::{
        Context,
        Data, //
    },
    delays::{
        self,
        Point, //
    },
    stats::Event, //
};

/// Leaves a completion to a task that waits, if there is one; if not, to the worker. Any context.
pub(super) fn leave_to_waiter(request: Unfinished<Data>) {
    // The request may be freed as soon as it is in the list.
    let context = request.context().clone();
    context.completions.unfinished.push(request);
    delays::pass(Point::Leave);
    // Full order, also of this one, which changes nothing: either the task takes the request from
    // the list when it has stopped waiting, or it is not counted here any more.
    if context.reapers.waiting.fetch_add(0, Full) > 0 {
        // A build that does not wake the task exists for a test, which must see the deadlock.
        if !cfg!(rnull_dio_keep_asleep) {
            context.completions.completed.kick();
        }
    } else {
        context.completions.unfinished.take_all().for_each(drop);
    }
}

/// Waits until `enough` requests are complete, up to `limit` ns. Finishes the completions that are
/// left to this task in the meantime. Sleeps.
///
/// Returns early without an error if there was such a completion.
///
/// # Errors
///
/// - `ETIME`: the limit was reached.
/// - `ERESTARTSYS`: the task has a signal.
pub(super) fn wait(context: &Context, enough: u64, limit: Option<i64>, io: &MayIo) -> Result {
    context.stats.inc(Event::Sleep);
    delays::pass(Point::Reap);
    context.reapers.waiting.fetch_add(1, Full);
    let kicks = context.completions.completed.kicks();
    delays::pass(Point::Sleep);
    // What is not in the list yet is followed by a kick.
    let ret = if context.completions.unfinished.is_empty() {
        context
            .completions
            .completed
            .wait_for_interruptible(enough, limit, kicks, io)
    } else {
        Ok(())
    };
    context.reapers.waiting.fetch_sub(1, Full);
    if finish_all(context, io) {
        Ok(())
    } else {
        ret
    }
}

/// Finishes the completions that are left to this task. Sleeps. Returns whether there were any.
///
/// Only those of one file system: the others, which stay counted in the meantime, go to their
/// workers. To finish one completion may take as long as a writeback, and that may wait, by a loop
/// device, for a task that freezes another file system.
fn finish_all(context: &Context, io: &MayIo) -> bool {
    let mut requests = context.completions.unfinished.take_all();
    let Some(first) = requests.next() else {
        return false;
    };
    let others = LockLessList::new();
    for request in requests {
        if request.has_same_super_block(&first) {
            others.push(request);
        }
    }
    let finish = |request: Unfinished<Data>| {
        context.stats.inc(Event::Finish);
        request.finish(io);
    };
    finish(first);
    others.take_all().for_each(finish);
    true
}
