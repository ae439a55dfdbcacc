// SPDX-License-Identifier: GPL-2.0

//! Counters that can be waited for.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    types::Opaque, //
};

use crate::{
    bindings,
    context::Task, //
};

/// A counter of events, for one task at a time to wait until there have been enough.
///
/// # Invariants
///
/// The inner `struct wait_queue_head` is initialized.
#[pin_data]
pub struct AwaitedCounter {
    value: Atomic<u64>,
    /// What is waited for, or a value that is never reached.
    wanted: Atomic<u64>,
    #[pin]
    waiters: Opaque<bindings::wait_queue_head>,
}

// SAFETY: Wait queues belong to no thread.
unsafe impl Send for AwaitedCounter {}

// SAFETY: Wait queues synchronize themselves.
unsafe impl Sync for AwaitedCounter {}

impl AwaitedCounter {
    /// Creates a counter that is 0.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            value: Atomic::new(0),
            wanted: Atomic::new(u64::MAX),
            // INVARIANT: It is initialized here.
            // SAFETY: The pointer is to memory for a wait queue, which is pinned.
            waiters <- Opaque::ffi_init(|waiters| unsafe {
                bindings::rnull_dio_init_waitqueue_head(waiters)
            }),
        })
    }

    /// Counts an event. Any context.
    pub fn inc(&self) {
        // Full order: a waiter either sees it, or is seen here.
        let before = self.value.fetch_add(1, ordering::Full);
        if before + 1 >= self.wanted.load(ordering::Relaxed) {
            // SAFETY: By the type invariant.
            unsafe { bindings::rnull_dio_wake_up(self.waiters.get()) };
        }
    }

    /// The number of events so far.
    pub fn get(&self) -> u64 {
        self.value.load(ordering::Relaxed)
    }

    /// Waits until the counter is at least `value`, for up to `limit` ns.
    pub fn wait_for(&self, value: u64, limit: u64, _task: &Task) {
        if self.value.load(ordering::Relaxed) >= value {
            return;
        }
        self.wanted.xchg(value, ordering::Full);
        // SAFETY: By the type invariant; the counter outlives the call.
        unsafe {
            bindings::rnull_dio_wait_until_reached(
                self.waiters.get(),
                self.value.as_ptr(),
                value,
                limit,
            )
        };
        self.wanted.store(u64::MAX, ordering::Relaxed);
    }
}
