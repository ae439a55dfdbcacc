// SPDX-License-Identifier: GPL-2.0

//! Sparse arrays of pages.
//!
//! C headers: [`include/linux/xarray.h`](srctree/include/linux/xarray.h),
//! [`include/linux/highmem.h`](srctree/include/linux/highmem.h)

use core::{
    marker::PhantomData,
    ops::Range,
    ptr::{
        self,
        NonNull, //
    }, //
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

use crate::bindings;

/// An array of pages with holes, for many readers and writers at once.
///
/// To find a page takes the RCU read lock only, so that copies to and from pages that exist neither
/// wait for each other nor share a cache line. A lock is taken to fill a hole and to make one. A
/// page that is erased is freed after a grace period: a copy that is under way goes to memory that
/// is still there, but is no longer found, which is a possible outcome of a write and a discard
/// that overlap.
///
/// # Invariants
///
/// - `self.pages` is an initialized xarray, all entries of which are pages that it owns: lowmem, of
///   order 0, and removed from it only by [`PageMap::erase`] or by the drop.
/// - `self.retired` is set if a page was ever passed to RCU to be freed.
///
/// # Examples
///
/// ```
/// # use kernel::{page::PAGE_SIZE, prelude::*, sync::rcu};
/// # use kernel_ext::page_map::PageMap;
/// let map = KBox::pin_init(PageMap::new(), GFP_KERNEL)?;
/// map.populate(7)?;
/// assert_eq!(map.len(), 1);
/// {
///     let rcu = rcu::read_lock();
///     if let Some(page) = map.get(7, &rcu) {
///         page.zero(0, PAGE_SIZE)?;
///     }
///     assert!(map.get(8, &rcu).is_none());
/// }
/// map.erase(0..8);
/// assert!(map.is_empty());
/// # Ok::<(), Error>(())
/// ```
#[pin_data(PinnedDrop)]
pub struct PageMap {
    #[pin]
    pages: Opaque<bindings::xarray>,
    // Counted here, because to count the entries takes long: a disk may have millions of them.
    len: Atomic<usize>,
    retired: Atomic<bool>,
}

// SAFETY: Pages and xarrays belong to no thread.
unsafe impl Send for PageMap {}

// SAFETY: The xarray serialises changes by its lock, and lookups run under RCU.
unsafe impl Sync for PageMap {}

/// A page of a [`PageMap`].
///
/// Its contents may change at any time, so that they can only be copied: there is no reference to
/// them.
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

    /// Copies a whole page here.
    pub fn copy_from(&self, page: &MappedPage<'_>) {
        // SAFETY: By the type invariants both pages are there. A race with other copies is one
        // between C functions on memory that Rust has no reference to.
        unsafe { bindings::ext_memcpy_page(self.as_raw(), 0, page.as_raw(), 0, PAGE_SIZE) };
    }

    /// Writes zeroes.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if the range is not within the page.
    pub fn zero(&self, offset: usize, len: usize) -> Result {
        check_bounds(offset, len, PAGE_SIZE)?;
        // SAFETY: By the type invariant the page is there, and the range is within it. A race with
        // other copies is one between C functions on memory that Rust has no reference to.
        unsafe { bindings::ext_memzero_page(self.as_raw(), offset, len) };
        Ok(())
    }
}

/// Checks that `len` bytes at `offset` are within `size` bytes.
///
/// # Errors
///
/// [`EINVAL`] if they are not.
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
            // INVARIANT: Initialized, and empty.
            // SAFETY: The pointer is to memory for an xarray.
            pages <- Opaque::ffi_init(|pages| unsafe { bindings::xa_init_flags(pages, 0) }),
            len: Atomic::new(0),
            retired: Atomic::new(false),
        })
    }

    /// Returns the page at `index`, or [`None`] where there is a hole. Any context.
    #[inline]
    pub fn get<'a>(&'a self, index: usize, _rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        // SAFETY: By the type invariant.
        let page = unsafe { bindings::xa_load(self.pages.get(), index) };
        // INVARIANT: All entries are pages. The guard is borrowed for `'a`, so that RCU does not
        // free the page before that, even if it is erased now.
        Some(MappedPage(NonNull::new(page.cast())?, PhantomData))
    }

    /// Fills the hole at `index`, if there is one, with a page of zeroes.
    ///
    /// Another task may erase it before it is looked up. Allocates with `GFP_NOIO`, as a block
    /// device must: may sleep, but does not wait for I/O.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn populate(&self, index: usize) -> Result {
        // SAFETY: An allocation without requirements but the context, which may sleep.
        let page = unsafe { bindings::alloc_pages(bindings::EXT_GFP_NOIO_ZERO, 0) };
        let page = NonNull::new(page).ok_or(ENOMEM)?;
        // SAFETY: The page has just been allocated, from lowmem, because the flags do not allow
        // anything else.
        let old = unsafe { self.insert(index, page) };
        if old.is_null() {
            return Ok(());
        }
        // SAFETY: The page was not stored, so that nothing else knows of it.
        unsafe { bindings::__free_pages(page.as_ptr(), 0) };
        // SAFETY: `old` was returned by a function of xarray.
        match unsafe { bindings::xa_err(old) } {
            // Another task has filled the hole.
            0 => Ok(()),
            errno => Err(Error::from_errno(errno)),
        }
    }

    /// Stores a page in the hole at `index`, and returns NULL, or what is there instead.
    ///
    /// # Safety
    ///
    /// `page` must be a lowmem page of order 0, the ownership of which is passed if this returns
    /// NULL.
    unsafe fn insert(&self, index: usize, page: NonNull<bindings::page>) -> *mut c_void {
        // SAFETY: By the type invariant.
        unsafe { bindings::xa_lock(self.pages.get()) };
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: The lock is held; the function may drop it to allocate, and takes it again.
        let old = unsafe {
            bindings::__xa_cmpxchg(
                self.pages.get(),
                index,
                ptr::null_mut(),
                page.as_ptr().cast(),
                bindings::EXT_GFP_NOIO,
            )
        };
        if old.is_null() {
            // Under the lock, so that it is counted before it can be erased.
            self.len.add(1, Relaxed);
        }
        // SAFETY: Taken above.
        unsafe { bindings::xa_unlock(self.pages.get()) };
        old
    }

    /// Makes a hole. May sleep; takes time in proportion to the pages that are there.
    pub fn erase(&self, indices: Range<usize>) {
        let mut index = indices.start;
        while index < indices.end && self.find(&mut index, indices.end - 1).is_some() {
            // SAFETY: By the type invariant.
            let page = unsafe { bindings::xa_erase(self.pages.get(), index) };
            // NULL if another task has erased it since.
            if let Some(page) = NonNull::new(page.cast()) {
                self.len.fetch_sub(1, Relaxed);
                // INVARIANT: Set before the page goes to RCU.
                if !self.retired.load(Relaxed) {
                    self.retired.store(true, Relaxed);
                }
                // SAFETY: The array owned the page, which is no longer in it, so that it is not
                // found any more; users that have found it hold the RCU read lock.
                unsafe { bindings::ext_free_page_rcu(page.as_ptr()) };
            }
            // SAFETY: May be called wherever sleeping is allowed.
            unsafe { bindings::ext_cond_resched() };
        }
    }

    /// Returns the first index from `index` on where there is a page. Any context.
    ///
    /// The page may be erased before the caller uses the index.
    pub fn first_from(&self, mut index: usize) -> Option<usize> {
        self.find(&mut index, usize::MAX).map(|_| index)
    }

    /// Returns how many pages there are. Not exact while pages come and go.
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Returns whether there is no page. Not exact while pages come and go.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks for the first page from `*index` to `max` and sets `*index` to where it is.
    ///
    /// The page may be erased before the caller uses the index.
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
            // SAFETY: The array owns the page, and has no other user. The entry dangles until
            // `xa_destroy()`, which does not access pages, and the walk goes on behind it.
            unsafe { bindings::__free_pages(page.as_ptr(), 0) };
            // SAFETY: The drop of a map may sleep, as its `erase()` may.
            unsafe { bindings::ext_cond_resched() };
            let Some(next) = index.checked_add(1) else {
                break;
            };
            index = next;
        }
        // SAFETY: By the type invariant.
        unsafe { bindings::xa_destroy(self.pages.get()) };

        // The RCU callback is text of the module, which must not be unloaded before it has run.
        if self.retired.load(Relaxed) {
            // SAFETY: The drop of a map may sleep.
            unsafe { bindings::rcu_barrier() };
        }
    }
}
