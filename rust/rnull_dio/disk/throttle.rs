// SPDX-License-Identifier: GPL-2.0

//! A limit of what a disk transfers in a second.

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    time::{
        Delta,
        Instant,
        Monotonic,
        NSEC_PER_SEC, //
    }, //
};

/// Requests wait in the block layer while the medium has more than this to transfer, in ns. Long
/// enough that it is never idle before the block layer tries again, which is after a few ms. No round
/// number: if there was room just when a request ends, it would always be taken by the hardware queue
/// of that request, because the block layer tries that one first.
const BACKLOG: i64 = 97_300_000;

/// A medium that transfers requests one after the other, at a certain rate.
///
/// Times are in ns, since it was made.
pub(super) struct Throttle {
    begin: Instant<Monotonic>,
    /// MiB a second; 0 if the limit has been lifted.
    rate: Atomic<u32>,
    /// When the medium has transferred all that it was given.
    free_at: Atomic<i64>,
}

impl Throttle {
    /// Creates a medium that transfers `rate` MiB a second.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            begin: Instant::now(),
            rate: Atomic::new(rate),
            free_at: Atomic::new(0),
        }
    }

    /// Lifts the limit, for requests that begin afterwards.
    pub(super) fn lift(&self) {
        self.rate.store(0, Relaxed);
    }

    /// Returns the time.
    pub(super) fn now(&self) -> i64 {
        self.begin.elapsed().as_nanos()
    }

    /// Gives the medium `bytes` to transfer. Returns when it has done so, or [`None`] if it has too
    /// much before it.
    pub(super) fn transfer(&self, bytes: u32) -> Option<i64> {
        self.transfer_at(self.now(), bytes)
    }

    fn transfer_at(&self, now: i64, bytes: u32) -> Option<i64> {
        let rate = self.rate.load(Relaxed);
        if rate == 0 {
            return Some(now);
        }
        // CAST: At most 2^32 bytes at 2^20 bytes a second.
        let time = (u64::from(bytes) * NSEC_PER_SEC as u64 / (u64::from(rate) << 20)) as i64;
        let mut free_at = self.free_at.load(Relaxed);
        loop {
            if free_at > now + BACKLOG {
                return None;
            }
            let end = free_at.max(now) + time;
            match self.free_at.cmpxchg(free_at, end, Relaxed) {
                Ok(_) => return Some(end),
                Err(other) => free_at = other,
            }
        }
    }

    /// Returns how long it is until `time`, which may have passed.
    pub(super) fn until(&self, time: i64) -> Delta {
        Delta::from_nanos((time - self.now()).max(0))
    }
}

#[kunit_tests(rnull_dio_disk_throttle)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn requests_are_transferred_one_after_the_other() {
        let throttle = Throttle::new(1);
        // 64 KiB at 1 MiB a second take 62.5 ms.
        for (now, end) in [(0, 62_500_000), (0, 125 * MS), (130 * MS, 192_500_000)] {
            assert_eq!(throttle.transfer_at(now, 64 << 10), Some(end));
        }
    }

    #[test]
    fn requests_wait_behind_a_backlog() {
        let throttle = Throttle::new(1024);
        // 1 GiB takes a second.
        assert_eq!(throttle.transfer_at(0, 1 << 30), Some(1000 * MS));
        assert_eq!(throttle.transfer_at(1000 * MS - BACKLOG - 1, 0), None);
        let end = throttle.transfer_at(1000 * MS - BACKLOG, 0);
        assert_eq!(end, Some(1000 * MS));
    }

    #[test]
    fn the_largest_request_is_counted() {
        let throttle = Throttle::new(1);
        let end = throttle.transfer_at(0, u32::MAX);
        assert_eq!(end, Some(4_095_999_999_046));
    }

    #[test]
    fn a_lifted_limit_holds_nothing_back() {
        let throttle = Throttle::new(1);
        assert_eq!(throttle.transfer_at(0, 1 << 20), Some(1000 * MS));
        throttle.lift();
        assert_eq!(throttle.transfer_at(5, 1 << 20), Some(5));
    }
}
