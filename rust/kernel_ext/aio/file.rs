// SPDX-License-Identifier: GPL-2.0

//! The files of contexts, and their mappings.

use core::{
    marker::PhantomData,
    ops::Range,
    ptr::NonNull, //
};

use kernel::{
    ffi::c_int,
    prelude::*,
    sync::atomic::ordering::Full, //
};

use super::context::{
    Context,
    ContextData, //
};
use crate::{
    bindings,
    compat::module::this_module,
    context::MaySleep, //
};

/// The operations of files whose private data is a context, and of their mappings.
pub(super) struct VTable<T>(PhantomData<T>);

impl<T: ContextData> VTable<T> {
    /// The operations of the files.
    pub(super) const FILE: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::Module>().as_ptr(),
        mmap: Some(Self::mmap),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// The operations of the mappings.
    const VM: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::vm_open),
        close: Some(Self::vm_close),
        mremap: Some(Self::mremap),
        fault: Some(Self::fault),
        ..pin_init::zeroed()
    };

    /// Returns the context of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be a mapping of such a file, and stay for `'a`.
    unsafe fn of_vma<'a>(vma: *const bindings::vm_area_struct) -> &'a Context<T> {
        // SAFETY: By the safety requirements of this function. The mapping keeps the file, and the
        // file the context.
        unsafe { &*(*(*vma).vm_file).private_data.cast::<Context<T>>() }
    }

    /// Maps the ring, once. From now on the context is found.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with a mapping that it makes of such a file.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = &*(*file).private_data.cast::<Context<T>>();
            if (*vma).vm_mm != this.owner
                || this.is_dead()
                || this.vmas.cmpxchg(0, 1, Full).is_err()
            {
                return EINVAL.to_errno();
            }
            // It stays until it has no users. It is removed before users are let in no more, and there
            // are some for an RCU grace period after that. It cannot have been killed already: only
            // what has found it does that, or who unmaps it, and the latter waits for the same lock of
            // the memory that this task holds.
            //
            // INVARIANT: It is in the table.
            this.contexts
                .table
                .insert(NonNull::from(this), Self::range(vma).start);
            bindings::ext_vma_set_ring_flags(vma);
            (*vma).vm_ops = &Self::VM;
        }
        0
    }

    /// Counts a mapping that was split off or moved.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with a mapping of such a file.
    unsafe extern "C" fn vm_open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = Self::of_vma(vma);
            if (*vma).vm_mm == this.owner {
                this.vmas.fetch_add(1, Full);
            }
        }
    }

    /// # Safety
    ///
    /// For the kernel to call, with a mapping of such a file that goes.
    unsafe extern "C" fn vm_close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function; the file is closed after this.
        unsafe { Self::of_vma(vma).unmapped((*vma).vm_mm) };
    }

    /// Returns the addresses of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be valid.
    unsafe fn range(vma: *const bindings::vm_area_struct) -> Range<usize> {
        // SAFETY: By the safety requirements of this function.
        let range = unsafe { (*vma).__bindgen_anon_1.__bindgen_anon_1 };
        range.vm_start..range.vm_end
    }

    /// Notes where the ring has been moved to.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with the mapping that a mapping of such a file was moved to.
    unsafe extern "C" fn mremap(vma: *mut bindings::vm_area_struct) -> c_int {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = Self::of_vma(vma);
            let range = Self::range(vma);
            if (*vma).vm_mm != this.owner || this.is_dead() || range.len() != this.ring.size() {
                return EINVAL.to_errno();
            }
            let table = &this.contexts.table;
            if !table.move_to(NonNull::from(this), range.start, &MaySleep::new()) {
                // Another task destroys it.
                return EINVAL.to_errno();
            }
        }
        0
    }

    /// # Safety
    ///
    /// For the fault handler to call.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: The fault handler passes a mapping of such a file, which stays for the call.
        unsafe { Self::of_vma((*vmf).__bindgen_anon_1.vma).ring.fault(vmf) }
    }

    /// Frees the context.
    ///
    /// # Safety
    ///
    /// For the VFS to call, with such a file.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function it comes from a box. It has no users,
        // because its own reference was dropped, and nothing else refers to it.
        drop(unsafe { KBox::from_raw((*file).private_data.cast::<Context<T>>()) });
        // SAFETY: The file was made by `ext_aio_getfile`.
        unsafe { bindings::ext_aio_unpin() };
        0
    }
}
