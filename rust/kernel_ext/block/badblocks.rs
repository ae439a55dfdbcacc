// SPDX-License-Identifier: GPL-2.0

//! Lists of bad sectors.
//!
//! C header: [`include/linux/badblocks.h`](srctree/include/linux/badblocks.h)

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

use crate::bindings;

/// A set of ranges of bad sectors.
///
/// The set has room for as many ranges as fit into a page. It may be read in any context: readers use
/// a sequence lock. Writers take a spinlock.
///
/// # Invariants
///
/// `self.inner` was initialized by `badblocks_init()`.
///
/// # Examples
///
/// ```
/// # use kernel::prelude::*;
/// # use kernel_ext::block::badblocks::BadBlocks;
/// let bad = KBox::pin_init(BadBlocks::new(), GFP_KERNEL)?;
/// bad.set_bad(8..16)?;
/// assert_eq!(bad.first_bad(0, 9), Some(8..16));
/// bad.set_good(8..16)?;
/// assert!(bad.is_empty());
/// # Ok::<(), Error>(())
/// ```
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
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Initialized here, or the initializer fails.
            inner <- Opaque::try_ffi_init(|inner: *mut bindings::badblocks| {
                // SAFETY: `inner` is memory for a `struct badblocks`, which becomes all zeroes, as
                // `badblocks_init()` expects: it writes only a part of the fields.
                unsafe { inner.write_bytes(0, 1) };
                // SAFETY: `inner` is memory for a `struct badblocks`.
                to_result(unsafe { bindings::badblocks_init(inner, 1) })
            }),
        })
    }

    /// Returns whether no sector is bad.
    ///
    /// One relaxed load: cheap enough for every I/O.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // SAFETY: The field is in bounds of the pointee, aligned, and valid as long as `self`. It
        // is an `int` that C reads without the lock as well, and a stale value is harmless: a range
        // that is added during an I/O may or may not hit it.
        let count = unsafe { Atomic::from_ptr(&raw mut (*self.inner.get()).count) };
        count.load(Relaxed) == 0
    }

    /// Marks sectors as bad.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if the set is full.
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

    /// Marks sectors as good. Interrupts must be enabled: the C function enables them.
    ///
    /// # Errors
    ///
    /// [`ENOSPC`] if the set is full, because a range has to be split.
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

    /// Returns the first range of bad sectors of which one is among the `nr` sectors from `sector`
    /// on, or [`None`] if all of them are good.
    pub fn first_bad(&self, sector: u64, nr: u64) -> Option<Range<u64>> {
        if nr == 0 {
            return None;
        }
        let (mut first, mut len) = (0, 0);
        // SAFETY: By the type invariant; `first` and `len` outlive the call.
        let ret = unsafe {
            bindings::badblocks_check(self.inner.get(), sector, nr, &mut first, &mut len)
        };
        (ret != 0).then(|| first..first.saturating_add(len))
    }

    /// Writes the set to `page`, a line of start and length for each range, and returns how many
    /// bytes that took. Ranges that do not fit are left out.
    ///
    /// # Errors
    ///
    /// [`EIO`] if the C function fails, which it does not.
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
