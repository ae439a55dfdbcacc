// SPDX-License-Identifier: GPL-2.0

//! Lists of bad sectors.
//!
//! C header: [`include/linux/badblocks.h`](srctree/include/linux/badblocks.h)

use crate::bindings;
use core::ops::Range;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    types::Opaque, //
};

/// A set of ranges of bad sectors.
///
/// Holds a page's worth of ranges. May be used in any context: the C side protects readers by a
/// sequence lock and writers by a spinlock.
///
/// # Invariants
///
/// `self.inner` was initialised by `badblocks_init()`.
#[pin_data(PinnedDrop)]
pub struct BadBlocks {
    #[pin]
    inner: Opaque<bindings::badblocks>,
}

// SAFETY: `struct badblocks` belongs to no thread.
unsafe impl Send for BadBlocks {}

// SAFETY: The C functions lock what they change and retry what they read.
unsafe impl Sync for BadBlocks {}

impl BadBlocks {
    /// Creates an empty set. Allocates a page with `GFP_KERNEL`.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Initialised here, or the initialiser fails.
            inner <- Opaque::try_ffi_init(|inner: *mut bindings::badblocks| {
                // SAFETY: `inner` is memory for a `struct badblocks`, which becomes all zeroes, as
                // `badblocks_init()` expects: it writes only a part of the fields.
                unsafe { inner.write_bytes(0, 1) };
                // SAFETY: As above.
                to_result(unsafe { bindings::badblocks_init(inner, 1) })
            }),
        })
    }

    /// Returns whether no sector is bad.
    ///
    /// One relaxed load: cheap enough for every I/O.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: The field is in bounds of the pointee, aligned, and valid as long as `self`. It is
        // an `int` that C reads without the lock as well, and a stale value is harmless: a range
        // that is added during an I/O may or may not hit it.
        let count = unsafe { Atomic::from_ptr(&raw mut (*self.inner.get()).count) };
        count.load(Relaxed) == 0
    }

    /// Marks sectors as bad. Fails with [`ENOSPC`] when the set is full.
    pub fn set_bad(&self, sectors: Range<u64>) -> Result {
        let nr = sectors.end.saturating_sub(sectors.start);
        // SAFETY: By the type invariant.
        let done = unsafe { bindings::badblocks_set(self.inner.get(), sectors.start, nr, 1) };
        if done {
            Ok(())
        } else {
            Err(ENOSPC)
        }
    }

    /// Marks sectors as good. Fails with [`ENOSPC`] when the set is full: a range may have to be
    /// split.
    pub fn set_good(&self, sectors: Range<u64>) -> Result {
        let nr = sectors.end.saturating_sub(sectors.start);
        // SAFETY: By the type invariant.
        let done = unsafe { bindings::badblocks_clear(self.inner.get(), sectors.start, nr) };
        if done {
            Ok(())
        } else {
            Err(ENOSPC)
        }
    }

    /// Returns whether one of `nr` sectors from `sector` on is bad.
    pub fn check(&self, sector: u64, nr: u64) -> bool {
        if nr == 0 {
            return false;
        }
        let (mut first, mut len) = (0, 0);
        // SAFETY: By the type invariant; `first` and `len` outlive the call.
        let ret = unsafe {
            bindings::badblocks_check(self.inner.get(), sector, nr, &mut first, &mut len)
        };
        ret != 0
    }

    /// Writes the set to `page`, a line of start and length for each range, and returns how many
    /// bytes that took. What does not fit is left out.
    pub fn show(&self, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        // SAFETY: By the type invariant; the function writes at most `PAGE_SIZE` bytes.
        let len = unsafe { bindings::badblocks_show(self.inner.get(), page.as_mut_ptr(), 0) };
        usize::try_from(len).map_err(|_| EIO)
    }
}

#[pinned_drop]
impl PinnedDrop for BadBlocks {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant, and nothing uses the set any more.
        unsafe { bindings::badblocks_exit(self.inner.get()) };
    }
}
