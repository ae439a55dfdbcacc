// SPDX-License-Identifier: GPL-2.0

//! Memory for objects of one size.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use core::{
    alloc::Layout,
    ffi::c_void,
    ptr::NonNull, //
};

use kernel::prelude::*;

use crate::bindings;

/// A slab cache.
///
/// # Invariants
///
/// The pointer is a `struct kmem_cache` that belongs to this object.
pub(crate) struct SlabCache(NonNull<bindings::kmem_cache>);

// SAFETY: A cache belongs to no thread.
unsafe impl Send for SlabCache {}

// SAFETY: The kernel's functions for caches synchronize themselves.
unsafe impl Sync for SlabCache {}

impl SlabCache {
    /// Creates a cache of objects of `layout`, each in cache lines of its own, under a name that no
    /// other cache has. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(name: &CStr, layout: Layout) -> Result<Self> {
        // CAST: Objects of the kernel are small.
        let (size, align) = (layout.size() as u32, layout.align() as u32);
        // SAFETY: The kernel copies the name.
        let cache = unsafe { bindings::ext_kmem_cache_create(name.as_char_ptr(), size, align) };
        // INVARIANT: It has just been created.
        Ok(Self(NonNull::new(cache).ok_or(ENOMEM)?))
    }

    /// Allocates an object, which is not initialized. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[inline]
    pub(crate) fn alloc(&self) -> Result<NonNull<c_void>> {
        // SAFETY: By the type invariant.
        let object =
            unsafe { bindings::kmem_cache_alloc_noprof(self.0.as_ptr(), bindings::EXT_GFP_KERNEL) };
        NonNull::new(object).ok_or(ENOMEM)
    }

    /// Frees an object. Any context.
    ///
    /// # Safety
    ///
    /// It must come from [`alloc`](Self::alloc) of this cache, and not be used any more.
    #[inline]
    pub(crate) unsafe fn free(&self, object: NonNull<c_void>) {
        // SAFETY: By the type invariant, and the safety requirements of this function.
        unsafe { bindings::kmem_cache_free(self.0.as_ptr(), object.as_ptr()) };
    }
}

impl Drop for SlabCache {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kmem_cache_destroy(self.0.as_ptr()) };
    }
}
