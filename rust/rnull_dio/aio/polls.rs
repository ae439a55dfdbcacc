// SPDX-License-Identifier: GPL-2.0

//! Requests that wait for events, which can be cancelled, and the end of a context.

use core::{
    mem,
    ptr, //
};

use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc, //
    },
};

use kernel_ext::aio::{
    ContextData,
    PollWait,
    Polls, //
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
};

/// Cancels the request at `obj` in user space, if it can be cancelled. Sleeps. Returns whether it
/// was.
pub(super) fn cancel(context: &Context, obj: u64) -> bool {
    let wait = {
        let polls = context.polls.lock();
        polls.iter().find(|wait| wait.obj() == obj).cloned()
    };
    delays::pass(Point::Cancel);
    wait.is_some_and(|wait| wait.cancel())
}

impl ContextData for Data {
    type Module = crate::LocalModule;

    fn killed(context: &Context) {
        delays::pass(Point::Kill);
        context.completions.completed.close();
        let polls = mem::take(&mut *context.polls.lock());
        for wait in polls {
            wait.cancel();
        }
        // Not when the context is freed, so that the program can make another one at once.
        context.reservation.end();
    }
}

impl Polls for Data {
    fn poll_begins(wait: &Arc<PollWait<Self>>) -> Result {
        let mut polls = wait.context().polls.lock();
        // Those that are noted before this are cancelled after it.
        if wait.context().is_dead() {
            return Err(EINVAL);
        }
        wait.index.store(polls.len(), Relaxed);
        polls.push(wait.clone(), GFP_KERNEL)?;
        Ok(())
    }

    fn poll_ends(wait: &PollWait<Self>) {
        let mut polls = wait.context().polls.lock();
        let index = wait.index.load(Relaxed);
        if polls.get(index).is_some_and(|at| ptr::eq(&**at, wait)) {
            // The caller has a reference of its own.
            let last = polls.len() - 1;
            polls.swap(index, last);
            let _ = polls.pop();
            if let Some(moved) = polls.get(index) {
                moved.index.store(index, Relaxed);
            }
        }
    }
}
