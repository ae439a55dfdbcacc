// SPDX-License-Identifier: GPL-2.0

//! Which results are in the ring.

use kernel::prelude::*;

use kernel_ext::aio::{
    Event,
    Ring, //
};

/// The results that are in the ring. User space has copies of these numbers, and may change them.
pub(super) struct Filled {
    /// The index behind the last one.
    tail: u32,
    /// How many were put there and have not given their slots back.
    unreaped: u32,
}

impl Filled {
    /// Those of a new context.
    pub(super) fn new() -> Self {
        Self {
            tail: 0,
            unreaped: 0,
        }
    }

    /// Writes a result. User space sees it from [`show`](Self::show) on.
    pub(super) fn write(&mut self, ring: &Ring, event: &Event) {
        ring.write(self.tail, event);
        self.tail = next(self.tail, 1, ring.capacity());
        self.unreaped += 1;
    }

    /// Lets user space see what has been written.
    pub(super) fn show(&self, ring: &Ring) {
        ring.set_tail(self.tail);
    }

    /// Forgets the results that have been reaped. Returns how many these are: user space says it, and
    /// may say anything, but each result is forgotten once.
    pub(super) fn forget_reaped(&mut self, ring: &Ring) -> u32 {
        let in_ring = distance(ring.head(), self.tail, ring.capacity()).min(self.unreaped);
        let reaped = self.unreaped - in_ring;
        self.unreaped = in_ring;
        reaped
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

#[kunit_tests(rnull_dio_aio_filled)]
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
