// SPDX-License-Identifier: GPL-2.0

//! The page cache of a request's file.
//!
//! C header: [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h)

use kernel::{
    error::to_result,
    page::PAGE_SHIFT,
    prelude::*, //
};

use super::Kiocb;
use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
};

impl<T> Kiocb<T> {
    /// Writes back the dirty pages of the next `len` bytes (at least one) from
    /// [`ki_pos`](Self::ki_pos) on, and waits for them. Does nothing that sleeps if
    /// [`is_nowait`](Self::is_nowait).
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not; otherwise the error of the writeback.
    pub fn write_and_wait(&self, len: usize, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant; the kiocb is only read.
        to_result(unsafe { bindings::kiocb_write_and_wait(self.as_raw(), len) })
    }

    /// Does what [`write_and_wait`](Self::write_and_wait) does, and then drops the pages of those
    /// bytes from the page cache.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not; `EBUSY` if a page was dirtied again or is in use;
    /// otherwise the error of the writeback.
    pub fn invalidate_pages(&self, len: usize, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant; the kiocb is only read.
        to_result(unsafe { bindings::kiocb_invalidate_pages(self.as_raw(), len) })
    }

    /// Returns whether the page cache holds any page of the file. Any context.
    #[inline]
    pub fn has_cached_pages(&self) -> bool {
        // SAFETY: The mapping is valid; others change the field by single stores.
        unsafe { (&raw const (*self.mapping()).nrpages).read_volatile() != 0 }
    }

    /// Returns whether a writeback of the file has failed, and no system call has reported it. Any
    /// context.
    #[inline]
    pub fn has_writeback_error(&self) -> bool {
        // SAFETY: As above.
        let flags = unsafe { (&raw const (*self.mapping()).flags).read_volatile() };
        flags & bindings::EXT_AS_ERRORS != 0
    }

    /// Returns whether the page cache holds any of the `len` bytes (at least one) at `pos`. Any
    /// context.
    pub fn has_cached_pages_in(&self, pos: u64, len: u64) -> bool {
        let last = pos + len - 1;
        // SAFETY: The mapping is valid. CAST: Positions in a file are not negative.
        unsafe {
            bindings::filemap_range_has_page(
                self.mapping(),
                pos as bindings::loff_t,
                last as bindings::loff_t,
            )
        }
    }

    /// Drops from the page cache what it holds of the `len` bytes (at least one) at `pos`, because
    /// a direct write has changed them. Sleeps for page locks and for writeback that is in
    /// progress.
    ///
    /// A page that was dirtied through a mapping during the write cannot be dropped; it differs
    /// from what is on the device. The next `fsync(2)` of the file returns an error for that, and the kernel logs a message.
    pub fn invalidate_after_write(&self, pos: u64, len: u64, _ctx: &MaySleep) {
        let last = pos + len - 1;
        // CAST: Positions in a file fit.
        let pages = ((pos >> PAGE_SHIFT) as usize, (last >> PAGE_SHIFT) as usize);
        let mapping = self.mapping();
        // SAFETY: The mapping is valid.
        if unsafe { bindings::invalidate_inode_pages2_range(mapping, pages.0, pages.1) } == 0 {
            return;
        }
        // SAFETY: The mapping and the file are valid; the sequence is changed atomically.
        unsafe {
            bindings::errseq_set(&raw mut (*mapping).wb_err, EIO.to_errno());
            bindings::ext_warn_stale_pages((*self.as_raw()).ki_filp);
        }
    }
}
