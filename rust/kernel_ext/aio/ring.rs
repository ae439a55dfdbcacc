// SPDX-License-Identifier: GPL-2.0

//! The memory of a context that user space maps: a header, and results.
//!
//! C header: [`include/uapi/linux/aio_abi.h`](srctree/include/uapi/linux/aio_abi.h)

use core::{
    ffi::c_void,
    num::NonZero,
    ptr::NonNull, //
};

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    uaccess::UserPtr, //
};

use crate::{
    bindings,
    compat::sync::barrier::{
        smp_mb,
        Read, //
    }, //
};

/// A result (`struct io_event`).
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Event {
    /// `aio_data` of the request.
    pub data: u64,
    /// The address of the request in user space.
    pub obj: u64,
    /// Bytes or a mask, or a negative errno.
    pub res: i64,
    /// 0.
    pub res2: i64,
}

const _: () = assert!(size_of::<Event>() == 32);

/// The header. libaio checks `magic` and `incompat_features`, and reads and writes `head`. The kernel
/// finds its contexts by `id`; nothing reads that of this module's.
#[repr(C)]
struct Header {
    id: u32,
    nr: u32,
    head: u32,
    tail: u32,
    magic: u32,
    compat_features: u32,
    incompat_features: u32,
    header_length: u32,
}

const _: () = assert!(size_of::<Header>() == 32);

/// The memory of a context. User space may change it at any time, so nothing that is read from it
/// says anything but what user space wants.
///
/// # Invariants
///
/// `memory` is an allocation of `vmalloc()`, of `pages` pages, that belongs to this object. `capacity`
/// results fit into it behind the header.
pub struct Ring {
    memory: NonNull<c_void>,
    pages: usize,
    capacity: NonZero<u32>,
}

// SAFETY: The allocation belongs to no thread.
unsafe impl Send for Ring {}

// SAFETY: All accesses are volatile, of memory that user space may change anyhow.
unsafe impl Sync for Ring {}

impl Ring {
    /// Allocates a ring for at least `events` results. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(events: u32) -> Result<Self> {
        let size = size_of::<Header>() + events as usize * size_of::<Event>();
        let pages = size.div_ceil(PAGE_SIZE);
        // SAFETY: No requirements; the memory is zeroed.
        let memory = unsafe {
            bindings::__vmalloc_noprof(pages * PAGE_SIZE, bindings::EXT_GFP_KERNEL_ACCOUNT_ZERO)
        };
        let capacity = (pages * PAGE_SIZE - size_of::<Header>()) / size_of::<Event>();
        // INVARIANT: The allocation has just been made, and the results fill what is left of it.
        let ring = Self {
            memory: NonNull::new(memory).ok_or(ENOMEM)?,
            pages,
            // CAST: `events` was a `u32`, and less than a page has been added; the callers' limits
            // leave room for that.
            capacity: NonZero::new(capacity as u32).ok_or(EINVAL)?,
        };
        ring.write_header();
        Ok(ring)
    }

    fn header(&self) -> *mut Header {
        self.memory.cast().as_ptr()
    }

    fn write_header(&self) {
        // SAFETY: By the type invariant the header is there; nothing else accesses it yet.
        unsafe {
            self.header().write(Header {
                id: 0,
                nr: self.capacity(),
                head: 0,
                tail: 0,
                magic: bindings::EXT_AIO_MAGIC,
                compat_features: 1,
                incompat_features: 0,
                // CAST: It is 32.
                header_length: size_of::<Header>() as u32,
            });
        }
    }

    /// Returns the size of the mapping, in bytes.
    pub(super) fn size(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// Handles a fault in a mapping of the ring.
    ///
    /// # Safety
    ///
    /// For the fault handler, with its argument.
    pub(super) unsafe fn fault(&self, vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: By the safety requirements of this function, and the type invariant.
        unsafe { bindings::ext_vmalloc_fault(vmf, self.memory.as_ptr(), self.pages) }
    }

    /// Returns how many results there is room for.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.capacity.get()
    }

    /// Returns whether the ring looks empty to a program.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let header = self.header();
        // SAFETY: By the type invariant the header is there.
        unsafe {
            (&raw const (*header).head).read_volatile()
                == (&raw const (*header).tail).read_volatile()
        }
    }

    /// Returns the index of the first result that has not been reaped, as user space has it. Less
    /// than the capacity.
    #[inline]
    pub fn head(&self) -> u32 {
        // SAFETY: By the type invariant the header is there.
        let head = unsafe { (&raw const (*self.header()).head).read_volatile() };
        head % self.capacity
    }

    /// Sets the index of the first result that has not been reaped.
    #[inline]
    pub fn set_head(&self, head: u32) {
        // SAFETY: By the type invariant the header is there.
        unsafe { (&raw mut (*self.header()).head).write_volatile(head) };
    }

    /// Returns the index behind the last result, as user space has it. Less than the capacity. The
    /// results before it are read afterwards.
    #[inline]
    pub fn tail(&self) -> u32 {
        // SAFETY: By the type invariant the header is there.
        let tail = unsafe { (&raw const (*self.header()).tail).read_volatile() };
        smp_mb(Read);
        tail % self.capacity
    }

    /// Sets the index behind the last result, once all results before it have been written.
    #[inline]
    pub fn set_tail(&self, tail: u32) {
        // SAFETY: By the type invariant the header is there.
        unsafe { bindings::ext_store_release_u32(&raw mut (*self.header()).tail, tail) };
    }

    /// Writes a result.
    ///
    /// # Panics
    ///
    /// If there is no room of this index.
    #[inline]
    pub fn write(&self, index: u32, event: &Event) {
        // SAFETY: The room is there.
        unsafe { self.event(index).write_volatile(*event) };
    }

    /// Copies `count` results to user space, from the one at `index` on. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    ///
    /// # Panics
    ///
    /// If there are no such indices.
    #[inline]
    pub fn copy_to_user(&self, index: u32, count: u32, to: UserPtr) -> Result {
        if count == 0 {
            return Ok(());
        }
        let first = self.event(index);
        assert!(count <= self.capacity() - index);
        // SAFETY: All of the results are there. The kernel checks the address of user space.
        let left = unsafe {
            bindings::_copy_to_user(
                to.as_mut_ptr(),
                first.cast(),
                count as usize * size_of::<Event>(),
            )
        };
        if left > 0 {
            return Err(EFAULT);
        }
        Ok(())
    }

    #[inline]
    fn event(&self, index: u32) -> *mut Event {
        assert!(index < self.capacity());
        // By the type invariant it is in the allocation.
        self.header()
            .wrapping_add(1)
            .cast::<Event>()
            .wrapping_add(index as usize)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: By the type invariant it belongs to this object. Pages that are still mapped have
        // references of their own.
        unsafe { bindings::vfree(self.memory.as_ptr()) };
    }
}
