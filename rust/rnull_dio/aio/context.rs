// SPDX-License-Identifier: GPL-2.0

//! What belongs to a context.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::Atomic,
        new_spinlock,
        Arc,
        Mutex,
        SpinLock, //
    },
};

use kernel_ext::{
    aio::{
        self as ext,
        Completed,
        PollWait,
        Ring,
        Unfinished, //
    },
    percpu_pool::PerCpuPool,
    sync::{
        counter::WaitCounter,
        llist::LockLessList, //
    },
};

use super::{
    filled::Filled,
    limit::Reservation,
    stats::Stats, //
};

/// What belongs to a context besides its ring. What submitters read is apart from what others write
/// to.
#[pin_data]
pub(super) struct Data {
    /// Slots that are free. A request has one until its result has been reaped. Every request that
    /// has a slot has room for its result in the ring.
    pub(super) slots: PerCpuPool,
    /// Requests that wait for events, and can be cancelled.
    #[pin]
    pub(super) polls: Mutex<KVVec<Arc<PollWait<Data>>>>,
    pub(super) stats: Arc<Stats>,
    pub(super) reservation: Reservation,
    #[pin]
    pub(super) completions: Completions,
    #[pin]
    pub(super) reapers: Reapers,
}

/// What completions write to, in cache lines of its own.
#[pin_data]
#[repr(align(64))]
pub(super) struct Completions {
    #[pin]
    pub(super) filled: SpinLock<Filled>,
    /// Requests whose results another context puts into the ring, which holds `filled`.
    pub(super) done: LockLessList<Completed<Data>>,
    /// How many requests are complete. Tasks in `io_getevents(2)` wait for it.
    #[pin]
    pub(super) completed: WaitCounter,
    /// Requests whose completion a task that waits for results has to finish.
    pub(super) unfinished: LockLessList<Unfinished<Data>>,
}

/// What tasks that reap write to, in cache lines of its own.
#[pin_data]
#[repr(align(64))]
pub(super) struct Reapers {
    /// Held by the task that takes results from the ring.
    #[pin]
    pub(super) lock: Mutex<()>,
    /// How many tasks wait, which finish all that is `unfinished` before they do anything else.
    pub(super) waiting: Atomic<usize>,
}

/// A context.
pub(super) type Context = ext::Context<Data>;
/// A user of a context.
pub(super) type ContextRef = ext::ContextRef<Data>;
/// The contexts of all processes.
pub(super) type Contexts = ext::Contexts<Data>;

impl Data {
    /// Creates what belongs to a context with `ring`.
    pub(super) fn new(
        ring: &Ring,
        reservation: Reservation,
        stats: Arc<Stats>,
    ) -> impl PinInit<Self, Error> {
        // A full ring would look like an empty one.
        let slots = ring.capacity() - 1;
        try_pin_init!(Self {
            slots: PerCpuPool::new(slots)?,
            polls <- new_mutex!(KVVec::new()),
            stats,
            reservation,
            completions <- pin_init!(Completions {
                filled <- new_spinlock!(Filled::new()),
                done: LockLessList::new(),
                completed <- WaitCounter::new(),
                unfinished: LockLessList::new(),
            }),
            reapers <- pin_init!(Reapers {
                lock <- new_mutex!(()),
                waiting: Atomic::new(0),
            }),
        })
    }
}
