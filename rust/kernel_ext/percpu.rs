// SPDX-License-Identifier: GPL-2.0

//! Per-CPU event counters.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::ptr::NonNull;

use kernel::prelude::*;

use crate::bindings;

/// A number of event counters for each CPU.
///
/// # Invariants
///
/// `self.first` is a per-CPU allocation of `self.len` counters that this object owns.
///
/// # Examples
///
/// ```
/// # use kernel::prelude::*;
/// # use kernel_ext::percpu::PerCpuCounters;
/// let counters = PerCpuCounters::new(2)?;
/// counters.inc(1);
/// counters.inc(1);
/// counters.dec(1);
/// assert_eq!((counters.sum(0), counters.sum(1)), (0, 1));
/// # Ok::<(), Error>(())
/// ```
pub struct PerCpuCounters {
    first: NonNull<u64>,
    len: usize,
}

// SAFETY: The allocation belongs to no thread.
unsafe impl Send for PerCpuCounters {}

// SAFETY: Each CPU writes its own copy, by an operation that no interrupt can tear; readers take what
// they find.
unsafe impl Sync for PerCpuCounters {}

impl PerCpuCounters {
    /// Allocates `len` counters that are zero. May sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`] if there are none.
    /// - [`ENOMEM`] if there is no memory for so many.
    pub fn new(len: usize) -> Result<Self> {
        let size = len.checked_mul(size_of::<u64>()).ok_or(ENOMEM)?;
        if size == 0 {
            return Err(EINVAL);
        }
        // SAFETY: An allocation of more than 0 bytes; per-CPU memory is zeroed.
        let first = unsafe {
            bindings::pcpu_alloc_noprof(size, align_of::<u64>(), false, bindings::GFP_KERNEL)
        };
        // INVARIANT: The allocation has just been made, and belongs to this object.
        Ok(Self {
            first: NonNull::new(first.cast()).ok_or(ENOMEM)?,
            len,
        })
    }

    #[inline]
    fn counter(&self, index: usize) -> *mut u64 {
        assert!(index < self.len);
        self.first.as_ptr().wrapping_add(index)
    }

    /// Counts one event. May be called in any context.
    ///
    /// # Panics
    ///
    /// If there is no counter of this number, as do all methods.
    #[inline]
    pub fn inc(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_this_cpu_inc(self.counter(index)) };
    }

    /// Takes back that one event was counted. May be called in any context.
    #[inline]
    pub fn dec(&self, index: usize) {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_this_cpu_dec(self.counter(index)) };
    }

    /// Returns how many events were counted on all CPUs. Not exact while others are being counted.
    pub fn sum(&self, index: usize) -> u64 {
        // SAFETY: By the type invariant the counter is there on every CPU.
        unsafe { bindings::rnull_dio_per_cpu_sum(self.counter(index)) }
    }
}

impl Drop for PerCpuCounters {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this object owns the allocation.
        unsafe { bindings::free_percpu(self.first.as_ptr().cast()) };
    }
}
