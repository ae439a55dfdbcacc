// SPDX-License-Identifier: GPL-2.0

//! Pools of equal units, with a share for each CPU.
//!
//! C header: [`include/linux/percpu.h`](srctree/include/linux/percpu.h)

use core::{
    num::NonZero,
    ptr::NonNull, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use crate::bindings;

/// A number of units. Each CPU has a share, which it takes from and gives back to without writing
/// to memory that other CPUs access. Batches move between the shares and the rest of the pool.
///
/// That a pool is empty for one CPU does not say that it has no units: other CPUs have up to twice a
/// batch in their shares each, and a batch or two more where a task was moved to another CPU in between.
///
/// # Invariants
///
/// `local` is a per-CPU allocation of one `u32` that this object owns.
///
/// # Examples
///
/// ```
/// # use kernel::prelude::*;
/// # use kernel_ext::percpu_pool::PerCpuPool;
/// let pool = PerCpuPool::new(2)?;
/// assert!(pool.take());
/// assert!(pool.take());
/// assert!(!pool.take());
/// pool.put(1);
/// assert!(pool.take());
/// # Ok::<(), Error>(())
/// ```
pub struct PerCpuPool {
    shared: Shared,
    local: NonNull<u32>,
    batch: NonZero<u32>,
}

/// The units that are in no share, in a cache line of their own: the other fields are read more often
/// than this is written to.
#[repr(align(64))]
struct Shared(Atomic<u32>);

// SAFETY: The allocation belongs to no thread.
unsafe impl Send for PerCpuPool {}

// SAFETY: Each CPU changes its own share, by operations that no interrupt can tear.
unsafe impl Sync for PerCpuPool {}

impl PerCpuPool {
    /// Creates a pool of `units`. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new(units: u32) -> Result<Self> {
        // SAFETY: An allocation of more than 0 bytes; per-CPU memory is zeroed.
        let local = unsafe {
            bindings::pcpu_alloc_noprof(
                size_of::<u32>(),
                align_of::<u32>(),
                false,
                bindings::GFP_KERNEL,
            )
        };
        // INVARIANT: The allocation has just been made, and belongs to this object.
        Ok(Self {
            shared: Shared(Atomic::new(units)),
            local: NonNull::new(local.cast()).ok_or(ENOMEM)?,
            // All shares together have at most half of the units.
            batch: NonZero::new(units / 4 / possible_cpus()).unwrap_or(NonZero::<u32>::MIN),
        })
    }

    /// Takes a unit. Any context. Returns whether there was one.
    #[inline]
    pub fn take(&self) -> bool {
        loop {
            // SAFETY: By the type invariant the number is there on every CPU.
            let share = unsafe { bindings::ext_this_cpu_read(self.local.as_ptr()) };
            if share == 0 {
                if !self.refill() {
                    return false;
                }
            } else if self.change(share, share - 1) {
                return true;
            }
        }
    }

    /// Gives units back. Any context.
    #[inline]
    pub fn put(&self, units: u32) {
        if units >= self.batch.get() {
            self.shared.0.add(units, Relaxed);
            return;
        }
        // SAFETY: By the type invariant the number is there on every CPU.
        let share = unsafe { bindings::ext_this_cpu_add_return(self.local.as_ptr(), units) };
        if share >= 2 * self.batch.get() {
            self.drain(share);
        }
    }

    /// Moves a batch to the share of this CPU. Returns whether there was one.
    #[cold]
    fn refill(&self) -> bool {
        let mut shared = self.shared.0.load(Relaxed);
        loop {
            if shared < self.batch.get() {
                return false;
            }
            match self
                .shared
                .0
                .cmpxchg(shared, shared - self.batch.get(), Relaxed)
            {
                Ok(_) => break,
                Err(now) => shared = now,
            }
        }
        // On whichever CPU the task is by now.
        // SAFETY: By the type invariant the number is there on every CPU.
        unsafe { bindings::ext_this_cpu_add_return(self.local.as_ptr(), self.batch.get()) };
        true
    }

    /// Moves a batch or two out of the share of this CPU, if it is still `share`. If the task is on
    /// another CPU by now, the share that is too large stays so until the next put there.
    #[cold]
    fn drain(&self, share: u32) {
        let left = share % self.batch + self.batch.get();
        if self.change(share, left) {
            self.shared.0.add(share - left, Relaxed);
        }
    }

    /// Changes the share of this CPU from `old` to `new`, if it still is `old`.
    #[inline]
    fn change(&self, old: u32, new: u32) -> bool {
        // SAFETY: By the type invariant the number is there on every CPU.
        unsafe { bindings::ext_this_cpu_cmpxchg(self.local.as_ptr(), old, new) == old }
    }
}

impl Drop for PerCpuPool {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this object owns the allocation.
        unsafe { bindings::free_percpu(self.local.as_ptr().cast()) };
    }
}

/// Returns how many CPUs the machine may have.
pub fn possible_cpus() -> NonZero<u32> {
    // SAFETY: No requirements.
    NonZero::new(unsafe { bindings::ext_num_possible_cpus() }).unwrap_or(NonZero::<u32>::MIN)
}

#[kunit_tests(rnull_dio_percpu_pool)]
mod tests {
    use super::*;

    /// Units that are put on other CPUs than they are taken from are not lost.
    #[test]
    fn all_units_can_be_taken_and_put() -> Result {
        for units in [1, 7, 64, 1000] {
            let pool = PerCpuPool::new(units)?;
            for _ in 0..3 {
                let mut taken = 0;
                while pool.take() {
                    taken += 1;
                }
                // The test may change the CPU, and shares stay behind.
                assert!(taken <= units && taken > 0);
                for _ in 0..taken {
                    pool.put(1);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_share_keeps_less_than_two_batches() -> Result {
        let pool = PerCpuPool::new(1024)?;
        while pool.take() {}
        let before = pool.shared.0.load(Relaxed);
        pool.put(5 * pool.batch.get());
        assert_eq!(pool.shared.0.load(Relaxed), before + 5 * pool.batch.get());
        for _ in 0..8 * pool.batch.get() {
            pool.put(1);
        }
        // The test may change the CPU once or twice.
        assert!(pool.shared.0.load(Relaxed) > before + 5 * pool.batch.get());
        Ok(())
    }
}
