// SPDX-License-Identifier: GPL-2.0

//! Event counters with a wait queue.
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
    context::MaySleep, //
};

/// A counter of events. One task at a time may wait until a number of events is reached.
///
/// # Examples
///
/// ```
/// use kernel_ext::{context::MaySleep, sync::counter::WaitCounter};
///
/// /// Waits up to 1 ms for ten more events.
/// fn gather(events: &WaitCounter, ctx: &MaySleep) {
///     events.wait_for(events.get() + 10, 1_000_000, ctx);
/// }
/// ```
///
/// # Invariants
///
/// The inner `struct wait_queue_head` is initialized.
#[pin_data]
pub struct WaitCounter {
    value: Atomic<u64>,
    /// The value that a task waits for, or one that is never reached.
    wanted: Atomic<u64>,
    #[pin]
    waiters: Opaque<bindings::wait_queue_head>,
}

// SAFETY: Wait queues belong to no thread.
unsafe impl Send for WaitCounter {}

// SAFETY: Wait queues synchronize themselves.
unsafe impl Sync for WaitCounter {}

impl WaitCounter {
    /// Creates a counter that is 0.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            value: Atomic::new(0),
            wanted: Atomic::new(u64::MAX),
            // INVARIANT: It is initialized here.
            // SAFETY: The pointer is to memory for a wait queue, which is pinned.
            waiters <- Opaque::ffi_init(|waiters| unsafe {
                bindings::ext_init_waitqueue_head(waiters)
            }),
        })
    }

    /// Counts an event. Any context.
    pub fn inc(&self) {
        // Full order: either the waiter sees the event, or its wanted value is seen here.
        let before = self.value.fetch_add(1, ordering::Full);
        if before + 1 >= self.wanted.load(ordering::Relaxed) {
            // SAFETY: By the type invariant.
            unsafe { bindings::ext_wake_up(self.waiters.get()) };
        }
    }

    /// Returns the number of events so far.
    pub fn get(&self) -> u64 {
        self.value.load(ordering::Relaxed)
    }

    /// Waits until the counter is at least `value`, but no longer than `limit` ns. Sleeps.
    pub fn wait_for(&self, value: u64, limit: u64, _ctx: &MaySleep) {
        if self.value.load(ordering::Relaxed) >= value {
            return;
        }
        self.wanted.xchg(value, ordering::Full);
        // SAFETY: By the type invariant; the counter outlives the call.
        unsafe {
            bindings::ext_wait_until_reached(self.waiters.get(), self.value.as_ptr(), value, limit)
        };
        self.wanted.store(u64::MAX, ordering::Relaxed);
    }
}
