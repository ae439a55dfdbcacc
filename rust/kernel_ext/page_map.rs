// SPDX-License-Identifier: GPL-2.0

//! Sparse arrays of pages.
//!
//! C headers: [`include/linux/xarray.h`](srctree/include/linux/xarray.h),
//! [`include/linux/highmem.h`](srctree/include/linux/highmem.h)

use crate::bindings;
use core::{
    marker::PhantomData,
    ops::Range,
    ptr::NonNull, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu, //
    },
    types::Opaque, //
};

/// An array of pages with holes, for many readers and writers at once.
///
/// To find a page takes the RCU read lock only, so copies to and from pages that exist neither wait
/// for each other nor share a cache line. A lock is taken to fill a hole and to make one. A page
/// that is removed is freed after a grace period: whoever still copies, copies to memory that exists
/// and that nobody sees any more, which is what an overlapping write and discard may do.
///
/// # Invariants
///
/// - `self.pages` is an initialised xarray, all entries of which are pages that it owns: lowmem, of
///   order 0, and removed from it only through [`PageMap::erase`] or by the drop.
/// - `self.retired` is set if a page was ever handed to RCU to be freed.
#[pin_data(PinnedDrop)]
pub struct PageMap {
    #[pin]
    pages: Opaque<bindings::xarray>,
    retired: Atomic<bool>,
}

// SAFETY: Pages and xarrays belong to no thread.
unsafe impl Send for PageMap {}

// SAFETY: The xarray serialises changes by its lock, and lookups run under RCU.
unsafe impl Sync for PageMap {}

/// A page of a [`PageMap`].
///
/// Others may change its contents at any time: no reference to them is handed out, they can only be
/// copied.
///
/// # Invariants
///
/// `self.0` is a page of a [`PageMap`] that was found under the RCU read lock, which is held for
/// `'a`.
pub struct MappedPage<'a>(NonNull<bindings::page>, PhantomData<&'a PageMap>);

impl MappedPage<'_> {
    /// Returns a pointer to the page, valid as long as `self`.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::page {
        self.0.as_ptr()
    }

    /// Writes zeroes. Fails with [`EINVAL`] when the range is not within the page.
    pub fn zero(&self, offset: usize, len: usize) -> Result {
        check_bounds(offset, len, PAGE_SIZE)?;
        // SAFETY: By the type invariant the page is there, and the range is within it. A race with
        // other copies is one between C functions on plain memory, and meant to be allowed.
        unsafe { bindings::rnull_dio_memzero_page(self.as_raw(), offset, len) };
        Ok(())
    }
}

/// Fails with [`EINVAL`] unless `len` bytes at `offset` are within `size` bytes.
#[inline]
pub(crate) fn check_bounds(offset: usize, len: usize, size: usize) -> Result {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(EINVAL),
    }
}

impl PageMap {
    /// Creates an array that consists of a hole.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised, and empty.
            // SAFETY: The pointer is to memory for an xarray.
            pages <- Opaque::ffi_init(|pages| unsafe { bindings::xa_init_flags(pages, 0) }),
            retired: Atomic::new(false),
        })
    }

    /// Returns the page at `index`, or [`None`] where there is a hole. May be called in any context.
    #[inline]
    pub fn get<'a>(&'a self, index: usize, _rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        // SAFETY: By the type invariant.
        let page = unsafe { bindings::xa_load(self.pages.get(), index) };
        // INVARIANT: All entries are pages, and the guard is borrowed for `'a`: even if the page is
        // erased now, RCU does not free it before the guard is gone.
        Some(MappedPage(NonNull::new(page.cast())?, PhantomData))
    }

    /// Makes sure that there is a page at `index`, zeroed if it is new.
    ///
    /// Another task may erase it before it is looked up. Allocates with `GFP_NOIO`, as a block device
    /// must: may sleep, never waits for I/O.
    pub fn populate(&self, index: usize) -> Result {
        // SAFETY: An allocation without requirements but the context, which the caller sees to.
        let page = unsafe { bindings::alloc_pages(bindings::EXT_GFP_NOIO_ZERO, 0) };
        let page = NonNull::new(page).ok_or(ENOMEM)?;

        // SAFETY: By the type invariant.
        unsafe { bindings::xa_lock(self.pages.get()) };
        // INVARIANT: `page` is lowmem, as the flags do not allow anything else. It is ours and goes
        // to the array when it is stored, that is, when NULL comes back.
        // SAFETY: The lock is held; the function may drop it to allocate, and takes it again.
        let old = unsafe {
            bindings::__xa_cmpxchg(
                self.pages.get(),
                index,
                core::ptr::null_mut(),
                page.as_ptr().cast(),
                bindings::EXT_GFP_NOIO,
            )
        };
        // SAFETY: Taken above.
        unsafe { bindings::xa_unlock(self.pages.get()) };

        if old.is_null() {
            return Ok(());
        }
        // SAFETY: Not stored, so still ours, and never seen by anybody.
        unsafe { bindings::__free_pages(page.as_ptr(), 0) };
        // SAFETY: `old` is what an xarray function returned.
        match unsafe { bindings::xa_err(old) } {
            // Somebody else was faster.
            0 => Ok(()),
            errno => Err(Error::from_errno(errno)),
        }
    }

    /// Makes a hole. May sleep; takes time in proportion to the pages that are there.
    pub fn erase(&self, indices: Range<usize>) {
        let mut index = indices.start;
        while index < indices.end && self.find(&mut index, indices.end - 1).is_some() {
            // SAFETY: By the type invariant.
            let page = unsafe { bindings::xa_erase(self.pages.get(), index) };
            // None if somebody else erases the same range.
            if let Some(page) = NonNull::new(page.cast()) {
                // INVARIANT: Set before the page goes to RCU.
                if !self.retired.load(Relaxed) {
                    self.retired.store(true, Relaxed);
                }
                // SAFETY: The page was owned by the array and is out of it, so nobody finds it any
                // more; those who have found it hold the RCU read lock.
                unsafe { bindings::rnull_dio_free_page_rcu(page.as_ptr()) };
            }
            // SAFETY: May be called wherever sleeping is allowed.
            unsafe { bindings::rnull_dio_cond_resched() };
        }
    }

    /// Returns how many pages there are. Walks the whole array.
    pub fn count(&self) -> usize {
        let (mut index, mut nr) = (0, 0);
        while self.find(&mut index, usize::MAX).is_some() {
            nr += 1;
            let Some(next) = index.checked_add(1) else {
                break;
            };
            index = next;
        }
        nr
    }

    /// Looks for the first page from `*index` to `max` and sets `*index` to where it is.
    ///
    /// The page may be gone by the time that the caller looks.
    fn find(&self, index: &mut usize, max: usize) -> Option<NonNull<bindings::page>> {
        // SAFETY: By the type invariant.
        let page = unsafe { bindings::xa_find(self.pages.get(), index, max, bindings::XA_PRESENT) };
        NonNull::new(page.cast())
    }
}

#[pinned_drop]
impl PinnedDrop for PageMap {
    fn drop(self: Pin<&mut Self>) {
        let mut index = 0;
        while let Some(page) = self.find(&mut index, usize::MAX) {
            // SAFETY: The array owns the page, and nobody else can look any more. The entry dangles
            // until `xa_destroy()`, which does not look at entries, and the walk goes on behind it.
            unsafe { bindings::__free_pages(page.as_ptr(), 0) };
            // SAFETY: What holds pages is dropped in process context.
            unsafe { bindings::rnull_dio_cond_resched() };
            let Some(next) = index.checked_add(1) else {
                break;
            };
            index = next;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::xa_destroy(self.pages.get()) };

        // The RCU callback is text of the module, which must not be unloaded before it has run.
        if self.retired.load(Relaxed) {
            rcu::rcu_barrier();
        }
    }
}
