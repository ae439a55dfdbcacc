// SPDX-License-Identifier: GPL-2.0

//! From a completion to the ring.
//!
//! A completion puts its result into the ring at once, because a program may look there without a
//! system call. It needs a lock for that, which it waits for only as long as another completion
//! takes. If the lock is held for longer, the request is added to a list, and the holder of the lock
//! puts the results of the whole list into the ring when it has released it. Tasks that sleep in `io_getevents(2)` are woken when as many
//! requests are complete as they wait for.

use core::hint::spin_loop;

use kernel::sync::{
    atomic::ordering::Full,
    SpinLock,
    SpinLockGuard, //
};

use kernel_ext::{
    aio::Completed,
    compat::sync::barrier::smp_mb,
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
    filled::Filled, //
};

/// How often a completion tries to take the lock. A holder needs a few dozen instructions, unless it is
/// interrupted.
const TRIES: usize = 1000;

/// Puts the result of a request into the ring, or has another context do it, and wakes tasks that have
/// as many as they wait for. Any context.
pub(super) fn add(request: Completed<Data>) {
    let context = request.context();
    let Some(mut filled) = lock(context) else {
        add_to_list(request);
        return;
    };
    filled.write(context.ring(), request.event());
    filled.show(context.ring());
    delays::pass(Point::Fill);
    drop(filled);
    // After it is in the ring: a task counts on it.
    context.completions.completed.inc();
    signal(&request);
    fill(context);
}

/// Takes the lock, unless it is held for long.
///
/// A request that the holder of the lock frees, instead of the CPU that is going to use its memory again,
/// costs more cache lines that move between CPUs than to wait does.
#[inline]
fn lock(context: &Context) -> Option<SpinLockGuard<'_, Filled>> {
    let filled = &context.completions.filled;
    filled.try_lock().or_else(|| try_again(filled))
}

#[cold]
fn try_again(filled: &SpinLock<Filled>) -> Option<SpinLockGuard<'_, Filled>> {
    (1..TRIES).find_map(|_| {
        spin_loop();
        filled.try_lock()
    })
}

/// For a request that found the lock held.
#[cold]
fn add_to_list(request: Completed<Data>) {
    // The request may be freed as soon as it is in the list.
    let context = request.context().clone();
    context.completions.done.push(request);
    fill(&context);
}

/// Puts the results of the list into the ring, unless another context does. Any context. Must follow
/// each release of the lock.
#[inline]
fn fill(context: &Context) {
    loop {
        // Either the list is seen to be filled, or the CPU that adds to it finds the lock free.
        smp_mb(Full);
        if context.completions.done.is_empty() || !try_fill(context) {
            return;
        }
    }
}

/// Puts the results of the list into the ring. Returns whether it did: not if the lock is held, whose
/// holder looks at the list again.
#[cold]
fn try_fill(context: &Context) -> bool {
    let signals = LockLessList::new();
    let Some(count) = fill_locked(context, &signals) else {
        return false;
    };
    context.completions.completed.add(count);
    signals.take_all().for_each(|request| signal(&request));
    true
}

/// Puts the results of the list into the ring. Requests with an eventfd go to `signals`. Returns how
/// many results there were, or `None` if the lock is held.
fn fill_locked(context: &Context, signals: &LockLessList<Completed<Data>>) -> Option<u64> {
    let mut filled = context.completions.filled.try_lock()?;
    let mut count = 0;
    for request in context.completions.done.take_all() {
        filled.write(context.ring(), request.event());
        count += 1;
        if request.eventfd().is_some() {
            signals.push(request);
        }
    }
    filled.show(context.ring());
    Some(count)
}

/// Signals the eventfd of a request whose result is in the ring.
fn signal(request: &Completed<Data>) {
    if let Some(eventfd) = request.eventfd() {
        eventfd.signal();
    }
}

/// Gives back the slots of results that have been reaped. Any context but a hard interrupt.
///
/// Which these are, user space says: it may say anything, but no slot is given back twice.
pub(super) fn free_slots(context: &Context) {
    let mut filled = context.completions.filled.lock();
    delays::pass(Point::FreeSlots);
    context.slots.put(filled.forget_reaped(context.ring()));
    drop(filled);
    fill(context);
}
