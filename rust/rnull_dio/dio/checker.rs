// SPDX-License-Identifier: GPL-2.0

//! Makes sure, in debug builds, that every request is completed exactly once.

#[cfg(debug_assertions)]
use kernel::sync::atomic::{
    ordering::{
        Full,
        Relaxed, //
    },
    Atomic, //
};

use kernel_ext::fs::Kiocb;

/// How many requests can be watched at a time; others are only counted.
#[cfg(debug_assertions)]
const SLOTS: usize = 1024;

/// The requests that are under way.
#[cfg(debug_assertions)]
pub(super) struct Checker {
    slots: [Atomic<usize>; SLOTS],
    begun: Atomic<u64>,
    ended: Atomic<u64>,
    /// Requests that no slot was left for.
    unwatched: Atomic<u64>,
}

#[cfg(debug_assertions)]
impl Checker {
    pub(super) fn new() -> Self {
        Self {
            slots: [const { Atomic::new(0) }; SLOTS],
            begun: Atomic::new(0),
            ended: Atomic::new(0),
            unwatched: Atomic::new(0),
        }
    }

    /// A request is about to be submitted.
    pub(super) fn begin<T>(&self, kiocb: &Kiocb<T>) {
        self.begun.add(1, Relaxed);
        let id = kiocb.id();
        assert!(
            !self.slots.iter().any(|slot| slot.load(Relaxed) == id),
            "a request was submitted that is under way"
        );
        if !self
            .slots
            .iter()
            .any(|slot| slot.cmpxchg(0, id, Full).is_ok())
        {
            self.unwatched.add(1, Relaxed);
        }
    }

    /// The result of a request is about to be told to its issuer.
    pub(super) fn end<T>(&self, kiocb: &Kiocb<T>) {
        self.ended.add(1, Relaxed);
        let id = kiocb.id();
        let found = self
            .slots
            .iter()
            .any(|slot| slot.cmpxchg(id, 0, Full).is_ok());
        assert!(
            found || self.unwatched.fetch_add(u64::MAX, Full) > 0,
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

/// Release builds rely on the tests.
#[cfg(not(debug_assertions))]
pub(super) struct Checker;

#[cfg(not(debug_assertions))]
impl Checker {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn begin<T>(&self, _kiocb: &Kiocb<T>) {}

    pub(super) fn end<T>(&self, _kiocb: &Kiocb<T>) {}
}
