// SPDX-License-Identifier: GPL-2.0

//! Kiocbs of direct I/O, with the counts that they hold and that tasks may wait for.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    mem::ManuallyDrop,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::prelude::*;

use super::{
    deferring::DeferringKiocb,
    gate::{
        self,
        Gated, //
    },
    issuer::Issuer, //
};
use crate::{
    bindings,
    fs::Kiocb, //
};

/// A [`Kiocb`] and what direct I/O holds for it: a count of the inode's `i_dio_count`, and the
/// issuer's write count of the super block.
///
/// A task may sleep until both have been dropped: in `inode_dio_wait()`, and in `freeze_super()`. A
/// request that has ended, but whose completion waits for a task, must hold neither, because it may
/// be that task which sleeps.
///
/// # Invariants
///
/// - `COUNTED` is set while the kiocb holds a count of its inode's `i_dio_count`.
/// - `WRITE_ENDED` is set while the write count that io_uring took has been dropped for it.
/// - `POLLED` is set while the kiocb's `private` points to the bio to poll for.
pub struct DioKiocb<T: Gated> {
    kiocb: Kiocb<T>,
    // One word, because the object is moved for every request, and `bool`s are moved bytewise.
    state: u32,
}

// The bits of `DioKiocb::state`.
const COUNTED: u32 = 1 << 0;
const WRITE_ENDED: u32 = 1 << 1;
const POLLED: u32 = 1 << 2;

impl<T: Gated> DioKiocb<T> {
    /// Creates the object, without counts.
    #[inline]
    pub fn new(kiocb: Kiocb<T>) -> Self {
        // INVARIANT: The kiocb has not been counted or polled for.
        Self { kiocb, state: 0 }
    }

    #[inline]
    fn has(&self, bit: u32) -> bool {
        self.state & bit != 0
    }

    /// Drops the counts, and returns the kiocb.
    #[inline]
    pub fn into_kiocb(self) -> Kiocb<T> {
        let mut this = ManuallyDrop::new(self);
        this.release();
        // SAFETY: The object is not used or dropped after this.
        unsafe { ptr::read(&this.kiocb) }
    }

    /// Completes an asynchronous request. Any context that the issuer's completion function may be
    /// called in.
    #[inline]
    pub fn complete(self, ret: Result<usize>) {
        self.into_kiocb().complete(ret);
    }

    /// Drops the counts, and restores what the issuer expects of the kiocb.
    #[inline]
    fn release(&mut self) {
        self.end_dio();
        if self.has(WRITE_ENDED) {
            self.resume_write();
        }
    }

    /// Moves the position on by `bytes` bytes that were transferred.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        self.kiocb.advance(bytes);
    }

    /// Tells the issuer that there is no bio to poll for.
    #[inline]
    pub fn clear_hipri(&mut self) {
        self.kiocb.clear_hipri();
    }

    /// Counts the request in the inode's `i_dio_count`. While direct I/O is excluded from the file,
    /// waits for the inode's lock, so this may sleep.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not.
    #[inline]
    pub fn begin_dio(&mut self) -> Result {
        // A task that excludes direct I/O waits for the count to be zero, so the request is counted
        // only if the gate was open just before.
        let closed = |this: &Self| match this.kiocb.target().gate() {
            Some(gate) => gate.is_closed(),
            None => false,
        };
        if !closed(self) {
            self.count_dio();
            if !closed(self) {
                return Ok(());
            }
            self.end_dio();
        }
        self.begin_dio_locked()
    }

    /// Counts the request while holding the inode's lock.
    #[cold]
    fn begin_dio_locked(&mut self) -> Result {
        if self.kiocb.is_nowait() {
            return Err(EAGAIN);
        }
        let inode = self.kiocb.inode();
        // SAFETY: The inode is valid.
        unsafe { bindings::ext_inode_lock_shared(inode) };
        // A task that excludes direct I/O from now on has to take the lock first.
        self.count_dio();
        // SAFETY: As above; the lock has just been taken.
        unsafe { bindings::ext_inode_unlock_shared(inode) };
        Ok(())
    }

    #[inline]
    fn count_dio(&mut self) {
        if !self.has(COUNTED) {
            // SAFETY: The inode is valid.
            unsafe { bindings::ext_inode_dio_begin(self.kiocb.inode()) };
            // INVARIANT: The count has just been taken.
            self.state |= COUNTED;
        }
    }

    /// Drops the count of [`begin_dio`](Self::begin_dio), if it is held. Any context.
    #[inline]
    pub fn end_dio(&mut self) {
        if self.has(COUNTED) {
            // INVARIANT: The count is dropped.
            self.state &= !COUNTED;
            let inode = self.kiocb.inode();
            match self.kiocb.target().gate() {
                // SAFETY: The inode is valid, and the count is ours.
                Some(gate) => unsafe { gate.end_dio(inode) },
                // SAFETY: As above.
                None => unsafe { gate::end_dio(inode) },
            }
        }
    }

    /// Drops the issuer's write count of the super block until the request is completed, if the
    /// issuer is one whose count is known. Any context.
    ///
    /// # Safety
    ///
    /// `issuer` must be that of the kiocb, or `Plain`.
    #[inline]
    pub(super) unsafe fn end_write(&mut self, issuer: Issuer) {
        match issuer {
            Issuer::IoUring(_) | Issuer::IoUringPoll => self.end_write_of_io_uring(),
            Issuer::Deferring | Issuer::Waiting => {
                // SAFETY: By the safety requirements of this function it is such a kiocb, and this
                // object is the only one to access it.
                unsafe { DeferringKiocb::end_write(self.kiocb.as_raw()) };
            }
            Issuer::Plain | Issuer::Native => (),
        }
    }

    fn end_write_of_io_uring(&mut self) {
        // CAST: A bit of an int.
        if self.kiocb.flags() & bindings::IOCB_WRITE as i32 != 0 && !self.has(WRITE_ENDED) {
            // INVARIANT: The count is dropped.
            self.state |= WRITE_ENDED;
            // SAFETY: The kiocb is valid. io_uring has taken the count for this write.
            unsafe { bindings::ext_kiocb_end_write(self.kiocb.as_raw()) };
        }
    }

    /// Reverses [`end_write`](Self::end_write) for io_uring, which drops the count itself.
    #[cold]
    fn resume_write(&mut self) {
        // INVARIANT: Either the count is taken again, or io_uring will find no write to drop it
        // for.
        self.state &= !WRITE_ENDED;
        // SAFETY: The kiocb is valid, and its write count has been dropped.
        unsafe { bindings::ext_kiocb_resume_write(self.kiocb.as_raw()) };
    }

    /// Returns the issuer. Must be called by the submitter, because the kind of the issuer may depend
    /// on the current task.
    #[inline]
    pub(super) fn issuer(&self) -> Issuer {
        // SAFETY: The kiocb is valid.
        Issuer::of(unsafe { &*self.kiocb.as_raw() })
    }

    /// As [`issuer`](Self::issuer), for a request that stays counted.
    #[inline]
    pub(super) fn issuer_of_counted(&self) -> Issuer {
        // SAFETY: The kiocb is valid.
        Issuer::of_counted(unsafe { &*self.kiocb.as_raw() })
    }

    /// Sets the bio that [`poll_cookie`](super::poll_cookie) finds.
    ///
    /// # Safety
    ///
    /// `bio` must not be freed before [`clear_polled_bio`](Self::clear_polled_bio) is called.
    #[inline]
    pub(super) unsafe fn set_polled_bio(&mut self, bio: NonNull<bindings::bio>) {
        // INVARIANT: It is set here.
        self.state |= POLLED;
        // SAFETY: The kiocb is valid; the bio stays by the safety requirements of this function.
        unsafe { bindings::ext_iocb_set_polled_bio(self.kiocb.as_raw(), bio.as_ptr()) };
    }

    /// Makes [`poll_cookie`](super::poll_cookie) find no bio. The bio may be freed afterwards.
    #[inline]
    pub(super) fn clear_polled_bio(&mut self) {
        if self.has(POLLED) {
            // INVARIANT: It is cleared here.
            self.state &= !POLLED;
            // SAFETY: The kiocb is valid.
            unsafe { bindings::ext_iocb_set_polled_bio(self.kiocb.as_raw(), ptr::null_mut()) };
        }
    }
}

impl<T: Gated> Deref for DioKiocb<T> {
    type Target = Kiocb<T>;

    #[inline]
    fn deref(&self) -> &Kiocb<T> {
        &self.kiocb
    }
}

impl<T: Gated> Drop for DioKiocb<T> {
    fn drop(&mut self) {
        // The kiocb reports that it was dropped.
        self.release();
    }
}
