// SPDX-License-Identifier: GPL-2.0

//! From a completion to the ring.
//!
//! A request that is complete is added to a list, which takes no lock, and the results of the whole
//! list are put into the ring by one of the completions that have added to it. None spins
//! for another. The ring is filled at once, because a program may look there without a system
//! call. Tasks that sleep in `io_getevents(2)` are woken when as many requests are complete as they
//! wait for.

use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Full,
        barrier::smp_mb, //
    },
};

use kernel_ext::{
    aio::Request,
    sync::llist::LockLessList, //
};

use super::context::{
    Context,
    Data,
    Filled, //
};

/// Adds a request that is complete. Any context.
pub(super) fn add(request: Request<Data>) {
    // The request may be freed as soon as it is in the list.
    let context = request.context().clone();
    context.done.push(request);
    fill(&context);
}

/// Puts the results of the list into the ring, unless another context does, and wakes tasks that have
/// as many as they wait for. Any context.
fn fill(context: &Context) {
    while !context.done.is_empty() {
        let signals = LockLessList::new();
        let count = {
            // If it is held, its holder looks at the list again.
            let Some(mut filled) = context.filled.try_lock() else {
                return;
            };
            fill_locked(context, &mut filled, &signals)
        };
        // After they are in the ring: a task counts on all of these.
        context.completed.add(count.into());
        for request in signals.take_all() {
            if let Some(eventfd) = request.eventfd() {
                eventfd.signal();
            }
        }
        // Either the list is seen to be filled again, or the CPU that adds to it finds the lock free.
        smp_mb(Full);
    }
}

/// Puts the results of the list into the ring. Requests with an eventfd go to `signals`. Returns how
/// many results there were.
fn fill_locked(
    context: &Context,
    filled: &mut Filled,
    signals: &LockLessList<Request<Data>>,
) -> u32 {
    let ring = context.ring();
    let mut count = 0;
    for request in context.done.take_all() {
        ring.write(filled.tail, request.event());
        filled.tail = next(filled.tail, 1, ring.capacity());
        count += 1;
        if request.eventfd().is_some() {
            signals.push(request);
        }
    }
    filled.unreaped += count;
    ring.set_tail(filled.tail);
    count
}

/// Gives back the slots of results that have been reaped. Any context.
///
/// Which these are, user space says: it may say anything, but no slot is given back twice.
pub(super) fn free_slots(context: &Context) {
    let ring = context.ring();
    let mut filled = context.filled.lock();
    let in_ring = distance(ring.head(), filled.tail, ring.capacity());
    if let Some(reaped @ 1..) = filled.unreaped.checked_sub(in_ring) {
        filled.unreaped = in_ring;
        context.slots.put(reaped);
    }
}

/// Returns the index that lies `count` behind `index` in a ring. Both are at most the capacity.
pub(super) fn next(index: u32, count: u32, capacity: u32) -> u32 {
    let next = index + count;
    if next >= capacity {
        next - capacity
    } else {
        next
    }
}

/// Returns how many results are from `head` to `tail`.
pub(super) fn distance(head: u32, tail: u32, capacity: u32) -> u32 {
    if head <= tail {
        tail - head
    } else {
        capacity - (head - tail)
    }
}

#[kunit_tests(rnull_dio_aio_results)]
mod tests {
    use super::*;

    #[test]
    fn indices_begin_again_behind_the_last() {
        for (index, count, expected) in [(0, 1, 1), (2, 1, 3), (3, 1, 0), (2, 4, 2), (3, 0, 3)] {
            assert_eq!(next(index, count, 4), expected);
        }
    }

    #[test]
    fn results_are_counted_across_the_end() {
        for (head, tail, expected) in [(0, 0, 0), (1, 3, 2), (3, 1, 2), (3, 3, 0), (1, 0, 3)] {
            assert_eq!(distance(head, tail, 4), expected);
            assert_eq!(next(head, expected, 4), tail);
        }
    }
}
