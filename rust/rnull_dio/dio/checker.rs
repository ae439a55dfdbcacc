// SPDX-License-Identifier: GPL-2.0

//! A check, in debug builds, that every request is completed exactly once.

use kernel::prelude::*;
#[cfg(debug_assertions)]
use kernel::sync::atomic::{
    ordering::{
        Full,
        Relaxed, //
    },
    Atomic,
};

use kernel_ext::fs::Kiocb;

/// The number of requests that can be checked at a time, at most.
#[cfg(debug_assertions)]
const SLOTS: usize = 1024;
/// The number of slots that are searched for a request.
#[cfg(debug_assertions)]
const PROBES: usize = 16;

/// The requests that are in flight.
#[cfg(debug_assertions)]
pub(crate) struct Checker {
    slots: KVec<Atomic<usize>>,
    begun: Atomic<u64>,
    ended: Atomic<u64>,
    /// Requests that found no free slot.
    unchecked: Atomic<u64>,
}

#[cfg(debug_assertions)]
impl Checker {
    pub(crate) fn new() -> Result<Self> {
        let mut slots = KVec::with_capacity(SLOTS, GFP_KERNEL)?;
        for _ in 0..SLOTS {
            slots.push(Atomic::new(0), GFP_KERNEL)?;
        }
        Ok(Self {
            slots,
            begun: Atomic::new(0),
            ended: Atomic::new(0),
            unchecked: Atomic::new(0),
        })
    }

    /// Changes a slot of a request from `old` to `new`. Returns whether there was one.
    fn change(&self, id: usize, old: usize, new: usize) -> bool {
        // Requests are some cache lines apart.
        let first = id >> 6;
        (0..PROBES).any(|i| {
            let slot = &self.slots[(first ^ (first >> 10)).wrapping_add(i) % SLOTS];
            slot.load(Relaxed) == old && slot.cmpxchg(old, new, Full).is_ok()
        })
    }

    /// Records that a request is about to be submitted.
    pub(crate) fn begin<T>(&self, kiocb: &Kiocb<T>) {
        self.begun.add(1, Relaxed);
        let id = kiocb.id();
        assert!(
            !self.change(id, id, id),
            "a request was submitted that is in flight"
        );
        if !self.change(id, 0, id) {
            self.unchecked.add(1, Relaxed);
        }
    }

    /// Records that the issuer of a request is about to get its result.
    pub(crate) fn end<T>(&self, kiocb: &Kiocb<T>) {
        self.ended.add(1, Relaxed);
        let id = kiocb.id();
        assert!(
            self.change(id, id, 0) || self.unchecked.fetch_add(u64::MAX, Full) > 0,
            "a request was completed twice, or never submitted"
        );
    }
}

#[cfg(debug_assertions)]
impl Drop for Checker {
    fn drop(&mut self) {
        assert_eq!(
            self.begun.load(Relaxed),
            self.ended.load(Relaxed),
            "requests were lost"
        );
    }
}

/// Checks nothing, in release builds.
#[cfg(not(debug_assertions))]
pub(crate) struct Checker;

#[cfg(not(debug_assertions))]
impl Checker {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn begin<T>(&self, _kiocb: &Kiocb<T>) {}

    pub(crate) fn end<T>(&self, _kiocb: &Kiocb<T>) {}
}
