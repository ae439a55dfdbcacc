// SPDX-License-Identifier: GPL-2.0

//! Memory barriers whose kind is a parameter.

use kernel::sync::barrier;

pub use kernel::sync::atomic::ordering::Full;

/// The order of reads.
pub struct Read;

/// What a barrier orders.
pub trait Ordering {
    /// Orders.
    fn run(self);
}

impl Ordering for Full {
    #[inline(always)]
    fn run(self) {
        barrier::smp_mb();
    }
}

impl Ordering for Read {
    #[inline(always)]
    fn run(self) {
        barrier::smp_rmb();
    }
}

/// Orders the accesses before it and those after it, for all CPUs.
#[inline(always)]
pub fn smp_mb(ordering: impl Ordering) {
    ordering.run();
}
