// SPDX-License-Identifier: GPL-2.0

//! Counters that no two CPUs share.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::prelude::*;

use crate::bindings;

/// `N` event counters for each CPU.
///
/// # Invariants
///
/// The pointer is a per-CPU allocation of `[u64; N]` that this object owns.
pub struct PerCpuCounters<const N: usize>(NonNull<u64>);

// SAFETY: The allocation belongs to no thread.
unsafe impl<const N: usize> Send for PerCpuCounters<N> {}

// SAFETY: Each CPU writes its own copy, by an operation that no interrupt can tear; readers take what
// they find.
unsafe impl<const N: usize> Sync for PerCpuCounters<N> {}

impl<const N: usize> PerCpuCounters<N> {
    /// Allocates counters that are zero. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        // SAFETY: A plain allocation; per-CPU memory is zeroed.
        let ptr = unsafe {
            bindings::pcpu_alloc_noprof(
                size_of::<[u64; N]>(),
                align_of::<u64>(),
                false,
                bindings::GFP_KERNEL,
            )
        };
        // INVARIANT: The allocation has just been made and is owned by nobody else.
        NonNull::new(ptr.cast()).map(Self).ok_or(ENOMEM)
    }

    fn counter(&self, index: usize) -> *mut u64 {
        assert!(index < N);
        self.0.as_ptr().wrapping_add(index)
    }

    /// Counts one event. Any context.
    #[inline]
    pub fn inc(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_this_cpu_inc(self.counter(index)) };
    }

    /// Takes back that one event was counted. Any context.
    #[inline]
    pub fn dec(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_this_cpu_dec(self.counter(index)) };
    }

    /// The events counted on all CPUs. Not exact while others count.
    pub fn sum(&self, index: usize) -> u64 {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_per_cpu_sum(self.counter(index)) }
    }
}

impl<const N: usize> Drop for PerCpuCounters<N> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant we own the allocation.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}
