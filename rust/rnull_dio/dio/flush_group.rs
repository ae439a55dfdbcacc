// SPDX-License-Identifier: GPL-2.0

//! Group commit: how long a worker waits for more writes to share a flush with, or another operation
//! that ends them together.
//!
//! Before it flushes, the worker waits in two steps. Neither takes longer than [`MAX_WAIT`].
//!
//! | step | waits until | no longer than |
//! |---|---|---|
//! | 1 | as many writes have ended as the last flush was for | max(2 × the last step 1, one flush), and one flush for each of these writes |
//! | 2 | no write that needs a flush is in flight | one flush |
//!
//! Step 1 finds the writers of the last batch again, because a writer that has got its result is
//! likely to write once more. A single writer does not wait: the last batch was one write. If step
//! 1 ends without as many writes, the next batch is smaller. Step 2 makes batches grow.

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

use kernel_ext::{
    context::MaySleep,
    sync::counter::WaitCounter, //
};

/// The longest that each step may take, in ns.
const MAX_WAIT: u64 = 2_000_000;

/// The writes of a worker's files that need a flush.
#[pin_data]
pub(crate) struct FlushGroup {
    /// How many have been submitted. A cache line that all writers share; the flush costs more.
    submitted: Atomic<u64>,
    /// How many have ended.
    #[pin]
    ended: WaitCounter,
    /// How many have ended by the time of the last flush.
    flushed: Atomic<u64>,
    /// How many the last flush was for.
    last_batch: Atomic<u64>,
    /// How long step 1 took last time, in ns; 0 if there were not as many writes.
    wait_ns: Atomic<u64>,
    /// How long the last flush took, in ns.
    flush_ns: Atomic<u64>,
}

impl FlushGroup {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            submitted: Atomic::new(0),
            ended <- WaitCounter::new(),
            flushed: Atomic::new(0),
            last_batch: Atomic::new(0),
            wait_ns: Atomic::new(0),
            flush_ns: Atomic::new(0),
        })
    }

    /// Counts a write that is about to be submitted. [`end`](Self::end) must follow.
    pub(crate) fn submit(&self) {
        self.submitted.add(1, Relaxed);
    }

    /// Counts a write that has ended. Any context.
    pub(crate) fn end(&self) {
        self.ended.inc();
    }

    /// Waits for writes to share the next flush with.
    pub(crate) fn wait_for_batch(&self, ctx: &MaySleep) {
        self.wait_for_last_batch(ctx);
        self.wait_for_inflight(ctx);
        self.last_batch.store(self.begin_batch(), Relaxed);
    }

    /// Begins a batch that the worker does not wait for. The next one does not look for its writers.
    pub(crate) fn skip_batch(&self) {
        self.begin_batch();
        self.last_batch.store(0, Relaxed);
    }

    /// Returns how many writes have ended since the last batch.
    fn begin_batch(&self) -> u64 {
        let ended = self.ended.get();
        ended - self.flushed.xchg(ended, Relaxed)
    }

    /// Step 1.
    fn wait_for_last_batch(&self, ctx: &MaySleep) {
        let (batch, flush_ns) = (self.last_batch.load(Relaxed), self.flush_ns.load(Relaxed));
        let limit = (2 * self.wait_ns.load(Relaxed))
            .max(flush_ns)
            .min(batch.saturating_mul(flush_ns))
            .min(MAX_WAIT);
        let wanted = self.flushed.load(Relaxed) + batch;
        let begin = Instant::<Monotonic>::now();
        self.ended.wait_for(wanted, limit, ctx);
        let wait_ns = if self.ended.get() >= wanted {
            // CAST: Time does not go back.
            begin.elapsed().as_nanos() as u64
        } else {
            0
        };
        self.wait_ns.store(wait_ns, Relaxed);
    }

    /// Step 2.
    fn wait_for_inflight(&self, ctx: &MaySleep) {
        // CAST: At most `MAX_WAIT`.
        let limit = self.flush_ns.load(Relaxed).min(MAX_WAIT) as i64;
        let mut left = limit;
        let begin = Instant::<Monotonic>::now();
        let mut expected = self.submitted.load(Relaxed);
        while left > 0 {
            // CAST: It is positive.
            self.ended.wait_for(expected, left as u64, ctx);
            let submitted = self.submitted.load(Relaxed);
            if submitted == expected {
                break;
            }
            expected = submitted;
            left = limit - begin.elapsed().as_nanos();
        }
    }

    /// Runs `flush`, and remembers how long it takes.
    pub(crate) fn measure<R>(&self, flush: impl FnOnce() -> R) -> R {
        let begin = Instant::<Monotonic>::now();
        let ret = flush();
        // CAST: Time does not go back.
        self.flush_ns
            .store(begin.elapsed().as_nanos() as u64, Relaxed);
        ret
    }
}
