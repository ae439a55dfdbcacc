// SPDX-License-Identifier: GPL-2.0

//! What belongs to a context.

use core::{
    mem,
    ptr, //
};

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        new_spinlock_irq,
        Arc,
        Mutex,
        SpinLockIrq, //
    },
};

use kernel_ext::{
    aio::{
        self as ext,
        ContextData,
        PollWait,
        Polls,
        Request,
        Requests,
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
    finish,
    limit::Reservation,
    results,
    stats::Stats, //
};

/// What belongs to a context besides its ring.
#[pin_data]
pub(super) struct Data {
    /// Slots that are free. A request has one until its result has been reaped. Every request that
    /// has a slot has room for its result in the ring.
    pub(super) slots: PerCpuPool,
    /// Requests that are complete, whose results are not in the ring yet.
    pub(super) done: LockLessList<Request<Data>>,
    /// Requests whose completion a task that waits for results has to finish.
    pub(super) unfinished: LockLessList<Unfinished<Data>>,
    /// How many tasks wait, which finish all of these before they do anything else.
    pub(super) waiting: Atomic<usize>,
    /// How many requests are complete. Tasks in `io_getevents(2)` wait for it.
    #[pin]
    pub(super) completed: WaitCounter,
    #[pin]
    pub(super) filled: SpinLockIrq<Filled>,
    /// Held by the task that takes results from the ring.
    #[pin]
    pub(super) reaping: Mutex<()>,
    /// Requests that wait for events, and can be cancelled.
    #[pin]
    polls: Mutex<KVec<Arc<PollWait<Data>>>>,
    pub(super) stats: Arc<Stats>,
    reservation: Reservation,
}

/// The results that are in the ring. User space has copies of these numbers, and may change them.
pub(super) struct Filled {
    /// The index behind the last one.
    pub(super) tail: u32,
    /// How many were put there and have not given their slots back.
    pub(super) unreaped: u32,
}

/// A context.
pub(super) type Context = ext::Context<Data>;
/// A user of a context.
pub(super) type ContextRef = ext::ContextRef<Data>;
/// The numbers of contexts.
pub(super) type Table = ext::Table<Context>;

impl Data {
    /// Creates what belongs to a context with `ring`.
    pub(super) fn new(
        ring: &Ring,
        reservation: Reservation,
        stats: Arc<Stats>,
    ) -> impl PinInit<Self, Error> {
        // A ring that is full cannot be told from an empty one.
        let slots = ring.capacity() - 1;
        try_pin_init!(Self {
            slots: PerCpuPool::new(slots)?,
            done: LockLessList::new(),
            unfinished: LockLessList::new(),
            waiting: Atomic::new(0),
            completed <- WaitCounter::new(),
            filled <- new_spinlock_irq!(Filled { tail: 0, unreaped: 0 }),
            reaping <- new_mutex!(()),
            polls <- new_mutex!(KVec::new()),
            stats,
            reservation,
        })
    }
}

/// Cancels the request at `obj` in user space, if it can be cancelled. Sleeps. Returns whether it
/// was.
pub(super) fn cancel(context: &Context, obj: u64) -> bool {
    let wait = {
        let polls = context.polls.lock();
        polls.iter().find(|wait| wait.obj() == obj).cloned()
    };
    wait.is_some_and(|wait| wait.cancel())
}

impl ContextData for Data {
    type Module = crate::LocalModule;

    fn killed(context: &Context) {
        context.completed.close();
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

impl Requests for Data {
    fn complete(request: Request<Self>) {
        results::add(request);
    }

    fn finish_later(request: Unfinished<Self>) {
        finish::leave_to_waiter(request);
    }
}
