// SPDX-License-Identifier: GPL-2.0

//! Per-CPU event counters.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::prelude::*;

use crate::bindings;

/// [`CAPACITY`](Self::CAPACITY) event counters for each CPU.
///
/// # Invariants
///
/// `self.0` is a per-CPU allocation of `CAPACITY` counters that this object owns.
///
/// # Examples
///
/// ```
/// # use kernel::prelude::*;
/// # use kernel_ext::percpu::PerCpuCounters;
/// let counters = PerCpuCounters::new()?;
/// counters.inc(1);
/// counters.inc(1);
/// counters.dec(1);
/// assert_eq!((counters.sum(0), counters.sum(1)), (0, 1));
/// # Ok::<(), Error>(())
/// ```
pub struct PerCpuCounters(NonNull<u64>);

// SAFETY: The allocation belongs to no thread.
unsafe impl Send for PerCpuCounters {}

// SAFETY: Each CPU writes its own copy, by an operation that no interrupt can tear; readers take
// what they find.
unsafe impl Sync for PerCpuCounters {}

impl PerCpuCounters {
    /// The number of counters: a constant, so that the bounds check of an index that the compiler
    /// knows to be small costs nothing.
    pub const CAPACITY: usize = 16;

    /// Allocates counters that are zero. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> Result<Self> {
        // SAFETY: An allocation of more than 0 bytes; per-CPU memory is zeroed.
        let first = unsafe {
            bindings::pcpu_alloc_noprof(
                Self::CAPACITY * size_of::<u64>(),
                align_of::<u64>(),
                false,
                bindings::GFP_KERNEL,
            )
        };
        // INVARIANT: The allocation has just been made, and belongs to this object.
        Ok(Self(NonNull::new(first.cast()).ok_or(ENOMEM)?))
    }

    #[inline]
    fn counter(&self, index: usize) -> *mut u64 {
        assert!(index < Self::CAPACITY);
        self.0.as_ptr().wrapping_add(index)
    }

    /// Counts one event. Any context.
    ///
    /// # Panics
    ///
    /// If there is no counter `index`. The other methods panic then, too.
    #[inline]
    pub fn inc(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::ext_this_cpu_inc(self.counter(index)) };
    }

    /// Subtracts one event. Any context.
    #[inline]
    pub fn dec(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::ext_this_cpu_dec(self.counter(index)) };
    }

    /// Returns how many events were counted on all CPUs. Not exact while others are being counted.
    pub fn sum(&self, index: usize) -> u64 {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::ext_per_cpu_sum(self.counter(index)) }
    }
}

impl Drop for PerCpuCounters {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this object owns the allocation.
        unsafe { bindings::free_percpu(self.0.as_ptr().cast()) };
    }
}
