// SPDX-License-Identifier: GPL-2.0

//! Filling the page cache from the device, and writing it back.

use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::ffi::{
    c_int,
    c_uint, //
};

use super::mapping::{
    IomapVTable,
    Mapping,
    EMPTY, //
};
use crate::bindings;

/// The C operations of the page cache of files with data `T`.
pub(in crate::fs) struct AddressSpaceVTable<T>(PhantomData<T>);

impl<T: Mapping> AddressSpaceVTable<T> {
    /// The `struct address_space_operations`.
    pub(in crate::fs) const OPERATIONS: bindings::address_space_operations =
        bindings::address_space_operations {
            read_folio: Some(Self::read_folio),
            readahead: Some(Self::readahead),
            writepages: Some(Self::writepages),
            dirty_folio: Some(bindings::iomap_dirty_folio),
            release_folio: Some(bindings::iomap_release_folio),
            invalidate_folio: Some(bindings::iomap_invalidate_folio),
            is_partially_uptodate: Some(bindings::iomap_is_partially_uptodate),
            error_remove_folio: Some(bindings::generic_error_remove_folio),
            #[cfg(CONFIG_MIGRATION)]
            migrate_folio: Some(bindings::filemap_migrate_folio),
            ..pin_init::zeroed()
        };

    const WRITEBACK_OPERATIONS: bindings::iomap_writeback_ops = bindings::iomap_writeback_ops {
        writeback_range: Some(Self::writeback_range),
        writeback_submit: Some(bindings::iomap_ioend_writeback_submit),
    };

    /// # Safety
    ///
    /// For the page cache to call.
    unsafe extern "C" fn read_folio(
        _file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        let mut ctx = read_context();
        ctx.cur_folio = folio;
        // SAFETY: The folio is locked, and belongs to such a file.
        unsafe { bindings::iomap_read_folio(&IomapVTable::<T>::OPERATIONS, &mut ctx, null_mut()) };
        // The page cache sees an error by the folio not being up to date.
        0
    }

    /// # Safety
    ///
    /// For the page cache to call.
    unsafe extern "C" fn readahead(rac: *mut bindings::readahead_control) {
        let mut ctx = read_context();
        ctx.rac = rac;
        // SAFETY: The page cache passes folios of such a file.
        unsafe { bindings::iomap_readahead(&IomapVTable::<T>::OPERATIONS, &mut ctx, null_mut()) };
    }

    /// # Safety
    ///
    /// For the page cache to call.
    unsafe extern "C" fn writepages(
        mapping: *mut bindings::address_space,
        wbc: *mut bindings::writeback_control,
    ) -> c_int {
        let mut wpc = bindings::iomap_writepage_ctx {
            iomap: EMPTY,
            // SAFETY: The page cache passes the mapping of such a file.
            inode: unsafe { (*mapping).host },
            wbc,
            ops: &Self::WRITEBACK_OPERATIONS,
            nr_folios: 0,
            wb_ctx: null_mut(),
        };
        // SAFETY: The context is complete.
        unsafe { bindings::iomap_writepages(&mut wpc) }
    }

    /// Adds up to `len` dirty bytes at `pos` that are contiguous on the device to the writeback.
    ///
    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn writeback_range(
        wpc: *mut bindings::iomap_writepage_ctx,
        folio: *mut bindings::folio,
        pos: u64,
        len: c_uint,
        end_pos: u64,
    ) -> isize {
        // SAFETY: iomap passes a valid context, with a mapping that this function has set, or none;
        // the inode is that of such a file, and its folio is locked. CAST: Positions fit.
        unsafe {
            if !contains(&(*wpc).iomap, pos) {
                let inode = NonNull::new_unchecked((*wpc).inode);
                match IomapVTable::<T>::begin(inode, pos, len.into(), true) {
                    Ok(iomap) => (*wpc).iomap = iomap,
                    Err(err) => return err.to_errno() as isize,
                }
            }
            bindings::iomap_add_to_ioend(
                wpc,
                folio,
                pos as bindings::loff_t,
                end_pos as bindings::loff_t,
                len,
            )
        }
    }
}

/// Returns whether `pos` lies in the mapping.
fn contains(iomap: &bindings::iomap, pos: u64) -> bool {
    // CAST: Positions are not negative.
    pos.checked_sub(iomap.offset as u64)
        .is_some_and(|at| at < iomap.length)
}

/// Returns a context that reads by bios.
fn read_context() -> bindings::iomap_read_folio_ctx {
    bindings::iomap_read_folio_ctx {
        ops: &raw const bindings::iomap_bio_read_ops,
        cur_folio: null_mut(),
        rac: null_mut(),
        read_ctx: null_mut(),
        read_ctx_file_offset: 0,
        vi: null_mut(),
    }
}
