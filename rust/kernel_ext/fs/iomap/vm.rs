// SPDX-License-Identifier: GPL-2.0

//! Memory mappings of files.

use core::{
    marker::PhantomData,
    ptr::null_mut, //
};

use super::mapping::{
    IomapVTable,
    Mapping, //
};
use crate::bindings;

/// The C operations of mappings of files with data `T`.
pub(in crate::fs) struct VmVTable<T>(PhantomData<T>);

impl<T: Mapping> VmVTable<T> {
    /// The `struct vm_operations_struct`.
    pub(in crate::fs) const OPERATIONS: bindings::vm_operations_struct =
        bindings::vm_operations_struct {
            fault: Some(bindings::filemap_fault),
            map_pages: Some(bindings::filemap_map_pages),
            page_mkwrite: Some(Self::page_mkwrite),
            ..pin_init::zeroed()
        };

    /// Makes a page writable. Waits while the file system is frozen or the range is being zeroed.
    ///
    /// # Safety
    ///
    /// For the fault handler to call.
    unsafe extern "C" fn page_mkwrite(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: The fault handler passes a mapping of such a file, which stays for the call, and
        // a page of it.
        unsafe {
            let file = (*(*vmf).__bindgen_anon_1.vma).vm_file;
            let sb = (*(*file).f_inode).i_sb;
            bindings::ext_sb_start_pagefault(sb);
            // The fault must not fail for a time stamp.
            bindings::file_update_time(file);
            bindings::ext_filemap_invalidate_lock_shared((*file).f_mapping);
            let ret = bindings::iomap_page_mkwrite(vmf, &IomapVTable::<T>::OPERATIONS, null_mut());
            bindings::ext_filemap_invalidate_unlock_shared((*file).f_mapping);
            bindings::ext_sb_end_pagefault(sb);
            ret
        }
    }
}
