// SPDX-License-Identifier: GPL-2.0

//! Event counters with a wait queue.
//!
//! C header: [`include/linux/wait.h`](srctree/include/linux/wait.h)

use core::ptr::{
    self,
    null, //
};

use kernel::{
    error::to_result,
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

/// A counter of events. Tasks may wait until a number of events is reached, and are not woken
/// before.
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
    /// The lowest value that a task waits for, or [`NONE`].
    wanted: Atomic<u64>,
    kicks: Atomic<u64>,
    #[pin]
    waiters: Opaque<bindings::wait_queue_head>,
}

/// No task waits.
const NONE: u64 = u64::MAX;
/// What a counter is at least when no task may wait for it any more. No value that events reach.
const CLOSED: u64 = 1 << 63;

// SAFETY: Wait queues belong to no thread.
unsafe impl Send for WaitCounter {}

// SAFETY: Wait queues synchronize themselves.
unsafe impl Sync for WaitCounter {}

impl WaitCounter {
    /// Creates a counter that is 0.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            value: Atomic::new(0),
            wanted: Atomic::new(NONE),
            kicks: Atomic::new(0),
            // INVARIANT: It is initialized here.
            // SAFETY: The pointer is to memory for a wait queue, which is pinned.
            waiters <- Opaque::ffi_init(|waiters| unsafe {
                bindings::ext_init_waitqueue_head(waiters)
            }),
        })
    }

    /// Counts an event. Any context.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts events. Any context.
    pub fn add(&self, events: u64) {
        // Full order: either the waiter sees the events, or its wanted value is seen here.
        let value = self.value.fetch_add(events, ordering::Full) + events;
        loop {
            let wanted = self.wanted.load(ordering::Relaxed);
            if value < wanted {
                return;
            }
            // The tasks that are woken enter their values again. It fails if one just has.
            if self.wanted.cmpxchg(wanted, NONE, ordering::Full).is_ok() {
                self.wake_all();
                return;
            }
        }
    }

    /// Has interruptible waits end that began before this. Any context.
    pub fn kick(&self) {
        self.kicks.fetch_add(1, ordering::Full);
        self.wake_all();
    }

    /// Returns how often [`kick`](Self::kick) has been called.
    #[inline]
    pub fn kicks(&self) -> u64 {
        self.kicks.load(ordering::Acquire)
    }

    /// Returns the number of events so far. What was done before they were counted is seen
    /// afterwards.
    #[inline]
    pub fn get(&self) -> u64 {
        self.value.load(ordering::Acquire)
    }

    /// Has all waits end, and those that begin later. Any context.
    pub fn close(&self) {
        self.value.fetch_add(CLOSED, ordering::Full);
        self.wanted.xchg(NONE, ordering::Full);
        self.wake_all();
    }

    /// Waits until the counter is at least `value`, but no longer than `limit` ns. Sleeps.
    pub fn wait_for(&self, value: u64, limit: u64, _ctx: &MaySleep) {
        // CAST: The minimum with an `i64` is one.
        let limit = limit.min(i64::MAX as u64) as i64;
        // The caller looks at the counter.
        let _ = self.wait(value, limit, None);
    }

    /// Waits until the counter is at least `value`, but no longer than `limit` ns, if there is a
    /// limit, or until the counter has been kicked more often than `kicks`. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ETIME`: the limit was reached.
    /// - `ERESTARTSYS`: the task has a signal.
    pub fn wait_for_interruptible(
        &self,
        value: u64,
        limit: Option<i64>,
        kicks: u64,
        _ctx: &MaySleep,
    ) -> Result {
        self.wait(value, limit.unwrap_or(i64::MAX), Some(kicks))
    }

    fn wait(&self, value: u64, limit: i64, interruptible: Option<u64>) -> Result {
        if self.get() >= value {
            return Ok(());
        }
        // SAFETY: By the type invariant; the counter outlives the call.
        let ret = to_result(unsafe {
            bindings::ext_wait_until_reached(
                self.waiters.get(),
                self.value.as_ptr(),
                self.wanted.as_ptr(),
                value,
                limit,
                self.kicks.as_ptr(),
                interruptible.as_ref().map_or(null(), ptr::from_ref),
            )
        });
        // It may be the value of this task, for which no event need wake any task any more. If it is
        // that of another one, that task enters it again.
        if self.wanted.xchg(NONE, ordering::Full) != NONE {
            self.wake_all();
        }
        ret
    }

    fn wake_all(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_wake_up(self.waiters.get()) };
    }
}

#[kunit_tests(rnull_dio_counter)]
mod tests {
    use super::*;
    use crate::compat::error::code::ETIME;

    /// In ns.
    const SHORT: i64 = 1_000_000;

    #[test]
    fn a_wait_that_has_ended_is_forgotten() -> Result {
        let counter = KBox::pin_init(WaitCounter::new(), GFP_KERNEL)?;
        let ctx = MaySleep::new();
        let wait = |value| counter.wait_for_interruptible(value, Some(SHORT), 0, &ctx);
        counter.inc();
        assert_eq!(wait(1), Ok(()));
        assert_eq!(wait(2), Err(ETIME));
        // Each event would take the lock of the wait queue.
        assert_eq!(counter.wanted.load(ordering::Relaxed), NONE);
        counter.inc();
        assert_eq!(wait(2), Ok(()));
        Ok(())
    }

    #[test]
    fn kicks_and_closing_end_waits() -> Result {
        let counter = KBox::pin_init(WaitCounter::new(), GFP_KERNEL)?;
        let ctx = MaySleep::new();
        let kicks = counter.kicks();
        counter.kick();
        // Without a limit.
        assert_eq!(counter.wait_for_interruptible(1, None, kicks, &ctx), Ok(()));
        let kicks = counter.kicks();
        assert_eq!(
            counter.wait_for_interruptible(1, Some(SHORT), kicks, &ctx),
            Err(ETIME)
        );
        counter.close();
        assert_eq!(counter.wait_for_interruptible(1, None, kicks, &ctx), Ok(()));
        Ok(())
    }
}
