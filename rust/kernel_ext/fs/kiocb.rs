// SPDX-License-Identifier: GPL-2.0

//! Requests for file I/O.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};

use kernel::{
    error::to_result,
    ffi::c_int,
    page::PAGE_SHIFT,
    prelude::*, //
};

use super::{
    iomap::Mapping,
    issuer::Issuer, //
};
use crate::{
    bindings,
    context::{
        Io,
        Task, //
    },
};

/// The hardware queue on which a bio can be polled for.
///
/// C type: `blk_qc_t`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PollCookie(u32);

impl PollCookie {
    pub(crate) fn as_raw(self) -> u32 {
        self.0
    }
}

/// The duty to complete a `struct kiocb`: whoever holds it is the only one who may touch the
/// request, and must see to it that [`complete`](Self::complete) is called, or give it back to the
/// issuer by [`Issued::Done`](super::Issued::Done).
///
/// One that is dropped instead has been lost by its owner. That is a bug, which is reported, and
/// its issuer gets `EIO` rather than nothing.
///
/// `T` is the file's data.
///
/// # Invariants
///
/// - `iocb` is a valid `struct kiocb` with a valid `ki_filp`. No other `Kiocb` for it exists.
/// - `target` stays valid until the kiocb has been completed, because the file holds it.
/// - `counted` tells whether this kiocb holds a count of its inode's `i_dio_count`.
/// - `write_ended` tells whether its issuer's write count of the super block has been dropped.
pub struct Kiocb<T: Mapping> {
    iocb: NonNull<bindings::kiocb>,
    target: NonNull<T>,
    counted: bool,
    write_ended: bool,
}

// SAFETY: A kiocb may be completed in any context, and `T` is only shared.
unsafe impl<T: Mapping + Sync> Send for Kiocb<T> {}

// SAFETY: Methods on `&self` read fields that do not change while the request is under way, or take
// locks of their own.
unsafe impl<T: Mapping + Sync> Sync for Kiocb<T> {}

impl<T: Mapping> Kiocb<T> {
    /// Takes over the duty to complete a C kiocb.
    ///
    /// # Safety
    ///
    /// - `iocb` must be valid, and valid until it is completed, with a valid `ki_filp`.
    /// - The caller must have that duty, and give it up.
    /// - `target` must stay valid until the kiocb is completed.
    pub(crate) unsafe fn from_raw(iocb: NonNull<bindings::kiocb>, target: NonNull<T>) -> Self {
        // INVARIANT: Per the function's safety requirements.
        Self {
            iocb,
            target,
            counted: false,
            write_ended: false,
        }
    }

    /// The C kiocb, to be used as this object may be.
    pub(super) fn as_raw(&mut self) -> NonNull<bindings::kiocb> {
        self.iocb
    }

    /// Gives the duty up again.
    pub(crate) fn into_raw(mut self) -> NonNull<bindings::kiocb> {
        self.end_dio();
        ManuallyDrop::new(self).iocb
    }

    #[inline]
    fn flags(&self) -> c_int {
        // SAFETY: By the type invariant.
        unsafe { (*self.iocb.as_ptr()).ki_flags }
    }

    /// The file's data.
    #[inline]
    pub fn target(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { self.target.as_ref() }
    }

    /// Where in the file the request begins, in bytes.
    #[inline]
    pub fn pos(&self) -> u64 {
        // SAFETY: By the type invariant.
        let pos = unsafe { (*self.iocb.as_ptr()).ki_pos };
        // CAST: The VFS passes no negative positions.
        pos as u64
    }

    /// Moves the position on, past bytes that were transferred.
    pub fn advance(&mut self, bytes: usize) {
        // SAFETY: By the type invariant. The sum is at most the file's size.
        unsafe { (*self.iocb.as_ptr()).ki_pos += bytes as i64 };
    }

    /// The I/O priority of the request, and how long its data is expected to live.
    pub(crate) fn hints(&self) -> (u16, bindings::rw_hint) {
        // SAFETY: By the type invariant; the inode is valid, and the hint is one that is read as
        // it is.
        unsafe {
            (
                (*self.iocb.as_ptr()).ki_ioprio,
                (*self.inode()).i_write_hint,
            )
        }
    }

    /// Does the issuer sleep until the request is done?
    #[inline]
    pub fn is_sync(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.iocb.as_ptr()).ki_complete.is_none() }
    }

    /// Must the submission not sleep (`IOCB_NOWAIT`)?
    pub fn is_nowait(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_NOWAIT != 0
    }

    /// Will the issuer poll for the completion (`IOCB_HIPRI`)?
    pub fn is_hipri(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_HIPRI != 0
    }

    /// Must the data be on stable storage when the request is done (`O_DSYNC`, or a mount or
    /// file that is synchronous)?
    pub fn is_dsync(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_iocb_is_dsync(self.iocb.as_ptr()) }
    }

    /// Leaves for [`poll_cookie`] which bio to poll for.
    ///
    /// # Safety
    ///
    /// `bio` must not be freed before [`forget_polled_bio`](Self::forget_polled_bio) is called.
    pub(crate) unsafe fn set_polled_bio(&mut self, bio: NonNull<bindings::bio>) {
        // SAFETY: By the type invariant, and per the function's safety requirements.
        unsafe { bindings::rnull_dio_iocb_set_polled_bio(self.iocb.as_ptr(), bio.as_ptr()) };
    }

    /// Has [`poll_cookie`] find no bio any more.
    pub(crate) fn forget_polled_bio(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::rnull_dio_iocb_set_polled_bio(self.iocb.as_ptr(), null_mut()) };
    }

    /// Does what the VFS wants before data is changed: time stamps, set-user-ID bits. May sleep.
    ///
    /// Not after [`begin_dio`](Self::begin_dio): it may take the inode's lock, whose holder may
    /// be waiting for direct I/O.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not.
    pub fn modified(&mut self) -> Result {
        // SAFETY: By the type invariant.
        match unsafe { bindings::rnull_dio_kiocb_modified(self.iocb.as_ptr()) } {
            // Spares nearly all writes a call.
            0 => Ok(()),
            err => to_result(err),
        }
    }

    fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariant the file is valid, and so is its inode.
        unsafe { (*(*self.iocb.as_ptr()).ki_filp).f_inode }
    }

    /// Counts the request in the inode's `i_dio_count`, so that those wait for it who must have
    /// the file without direct I/O. While they have it so, waits for them. May sleep.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not.
    pub fn begin_dio(&mut self) -> Result {
        // Not even for a moment if it can be helped: they wait for the count to be zero.
        if !self.target().dio_gate().is_closed() {
            self.count_dio();
            if !self.target().dio_gate().is_closed() {
                return Ok(());
            }
            self.end_dio();
        }
        if self.is_nowait() {
            return Err(EAGAIN);
        }
        let inode = self.inode();
        // SAFETY: The inode is valid.
        unsafe { bindings::rnull_dio_inode_lock_shared(inode) };
        // The next one who wants to be without has to have the lock first.
        self.count_dio();
        // SAFETY: As above; the lock has just been taken.
        unsafe { bindings::rnull_dio_inode_unlock_shared(inode) };
        Ok(())
    }

    fn count_dio(&mut self) {
        if !self.counted {
            // SAFETY: The inode is valid.
            unsafe { bindings::rnull_dio_inode_dio_begin(self.inode()) };
            // INVARIANT: The count has just been taken.
            self.counted = true;
        }
    }

    /// Drops the count of [`begin_dio`](Self::begin_dio), if it is still held. Any context.
    pub fn end_dio(&mut self) {
        if self.counted {
            // INVARIANT: The count is dropped.
            self.counted = false;
            // SAFETY: The inode is valid, this is its gate, and the count is ours.
            unsafe { self.target().dio_gate().end_dio(self.inode()) };
        }
    }

    /// Who is to finish the request? In the context of its submission.
    pub(crate) fn issuer(&self) -> Issuer {
        // SAFETY: By the type invariant.
        Issuer::of(unsafe { self.iocb.as_ref() })
    }

    /// What tells this request from all others that are under way.
    pub fn id(&self) -> usize {
        self.iocb.as_ptr().addr()
    }

    /// Returns the C kiocb, which stays this object's.
    pub(crate) fn as_ptr(&self) -> *mut bindings::kiocb {
        self.iocb.as_ptr()
    }

    /// Drops the write count of the super block that the issuer took, if this is a write, until
    /// the request is completed. Any context.
    ///
    /// # Safety
    ///
    /// The issuer must have taken the count by `kiocb_start_write()`, and drop it when it is told
    /// of the end, if and only if `IOCB_WRITE` is set then.
    pub(crate) unsafe fn end_write(&mut self) {
        if self.flags() & bindings::IOCB_WRITE as c_int != 0 && !self.write_ended {
            // INVARIANT: It is dropped.
            self.write_ended = true;
            // SAFETY: By the type invariant, and per the function's safety requirements.
            unsafe { bindings::rnull_dio_kiocb_end_write(self.iocb.as_ptr()) };
        }
    }

    /// Makes up for [`end_write`](Self::end_write).
    fn resume_write(&mut self) {
        if self.write_ended {
            // INVARIANT: It is taken again, or the issuer does not know of it any more.
            self.write_ended = false;
            // SAFETY: By the type invariant.
            unsafe { bindings::rnull_dio_kiocb_resume_write(self.iocb.as_ptr()) };
        }
    }

    /// Completes an asynchronous request. Any context that may call its issuer.
    ///
    /// # Panics
    ///
    /// If the issuer is waiting, as it has nothing to call.
    pub fn complete(mut self, ret: Result<usize>) {
        self.end_dio();
        self.resume_write();
        // SAFETY: By the type invariant.
        let ki_complete = unsafe { (*self.iocb.as_ptr()).ki_complete };
        assert!(
            ki_complete.is_some(),
            "a kiocb whose issuer waits was completed"
        );
        let iocb = ManuallyDrop::new(self).iocb;
        if let Some(ki_complete) = ki_complete {
            // SAFETY: The kiocb is valid and has not been completed; by consuming `self` we give
            // up every access to it.
            unsafe { ki_complete(iocb.as_ptr(), to_ki_result(ret)) };
        }
    }

    fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariant the file is valid, and so is its mapping.
        unsafe { (*(*self.iocb.as_ptr()).ki_filp).f_mapping }
    }

    /// Writes back the pages that are dirty in the next `len` bytes from [`pos`](Self::pos) on, at
    /// least one, and waits for them. Sleeps and does I/O, unless [`is_nowait`](Self::is_nowait).
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not; otherwise whatever the writeback met with.
    pub fn write_and_wait(&self, len: usize, _io: &Io) -> Result {
        // SAFETY: By the type invariant; the kiocb is only read.
        to_result(unsafe { bindings::kiocb_write_and_wait(self.iocb.as_ptr(), len) })
    }

    /// Does what [`write_and_wait`](Self::write_and_wait) does, and then drops the pages of those
    /// bytes from the page cache.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not; `EBUSY` if a page was dirtied again or is in use;
    /// otherwise whatever the writeback met with.
    pub fn invalidate_pages(&self, len: usize, _io: &Io) -> Result {
        // SAFETY: By the type invariant; the kiocb is only read.
        to_result(unsafe { bindings::kiocb_invalidate_pages(self.iocb.as_ptr(), len) })
    }

    /// Does the page cache hold any of the file? Any context.
    #[inline]
    pub fn has_cached_pages(&self) -> bool {
        // SAFETY: The mapping is valid, and whoever writes the field without our knowing does so by
        // single stores.
        unsafe { (&raw const (*self.mapping()).nrpages).read_volatile() != 0 }
    }

    /// Does the page cache hold any of the `len` bytes at `pos`, at least one? Any context.
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

    /// Drops from the page cache what it holds of the `len` bytes at `pos`, at least one, because
    /// a direct write has changed them. Sleeps, for the locks and the writeback of pages at most.
    ///
    /// A page that cannot be dropped, as a mapping has dirtied it meanwhile, is out of step with
    /// the device. Nothing can be done about that here but to tell: the log, and whoever calls
    /// `fsync(2)`.
    pub fn invalidate_after_write(&self, pos: u64, len: u64, _task: &Task) {
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
            bindings::rnull_dio_warn_stale_pages((*self.iocb.as_ptr()).ki_filp);
        }
    }
}

impl<T: Mapping> Drop for Kiocb<T> {
    fn drop(&mut self) {
        pr_err!("BUG: a kiocb was dropped by its owner\n");
        self.end_dio();
        self.resume_write();
        // SAFETY: By the type invariant.
        if let Some(ki_complete) = unsafe { (*self.iocb.as_ptr()).ki_complete } {
            // SAFETY: As in `complete`.
            unsafe { ki_complete(self.iocb.as_ptr(), to_ki_result(Err(EIO))) };
        }
    }
}

/// The bytes of a result, or its error, as `ki_complete` and `read_iter` want it.
pub(crate) fn to_ki_result(ret: Result<usize>) -> isize {
    match ret {
        // CAST: No request is longer than `MAX_RW_COUNT`, 2 GiB.
        Ok(bytes) => bytes as isize,
        Err(err) => err.to_errno() as isize,
    }
}

/// The reverse of [`to_ki_result`].
pub(crate) fn from_ki_result(ret: isize) -> Result<usize> {
    if ret < 0 {
        // CAST: An errno.
        Err(Error::from_errno(ret as i32))
    } else {
        // CAST: Not negative.
        Ok(ret as usize)
    }
}

/// Where to poll for a request, if it has got as far as that.
///
/// # Safety
///
/// `iocb` must be a kiocb of a file whose requests use [`Kiocb::set_polled_bio`] and nothing else
/// uses its `private`, and must not have been reaped by its issuer.
pub(crate) unsafe fn poll_cookie(iocb: *mut bindings::kiocb) -> Option<PollCookie> {
    let mut cookie = 0;
    // SAFETY: Per the function's safety requirements.
    let polled = unsafe { bindings::rnull_dio_iocb_poll_cookie(iocb, &mut cookie) };
    polled.then_some(PollCookie(cookie))
}
