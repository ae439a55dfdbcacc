// SPDX-License-Identifier: GPL-2.0

//! Requests for file I/O.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod target;

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*, //
};

use self::target::Target;
use crate::{
    bindings,
    context::MayIo,
    iov::Keeper, //
};

/// The duty to complete a `struct kiocb`.
///
/// Only the owner may access the request. It must make sure that [`complete`](Self::complete) is
/// called, or return the object to the issuer by [`Issued::Done`]. An object that is dropped
/// instead has been lost by a bug, which is reported; the issuer gets `EIO`.
///
/// `T` is the file's data, or another object that the creator has associated with the file. The
/// request carries the pointer; nothing is looked up in the inode later.
///
/// # Examples
///
/// ```
/// use kernel::prelude::*;
/// use kernel_ext::fs::{Issued, Kiocb};
///
/// /// Fails a request that must not sleep; returns any other.
/// fn check_sleep<T>(kiocb: Kiocb<T>) -> core::result::Result<Kiocb<T>, Issued<T>> {
///     if kiocb.is_nowait() {
///         return Err(Issued::Done(kiocb, Err(EAGAIN)));
///     }
///     Ok(kiocb)
/// }
/// ```
///
/// # Invariants
///
/// - `iocb` is a valid `struct kiocb` with a valid `ki_filp`. No other `Kiocb` for it exists.
/// - The target stays valid until the kiocb has been completed. If it has users, this object drops
///   the request's.
pub struct Kiocb<T> {
    iocb: NonNull<bindings::kiocb>,
    target: Target<T>,
}

// SAFETY: A kiocb may be completed in any context, and `T` is only shared.
unsafe impl<T: Sync> Send for Kiocb<T> {}

// SAFETY: Methods on `&self` read fields that do not change while the request is in flight, or take
// locks of their own.
unsafe impl<T: Sync> Sync for Kiocb<T> {}

/// The state of a request after its submission to [`FileOperations`](super::FileOperations).
pub enum Issued<T> {
    /// The request is done; its result goes to the issuer.
    Done(Kiocb<T>, Result<usize>),
    /// [`Kiocb::complete`] has been or will be called.
    Queued,
}

impl<T> Kiocb<T> {
    /// Takes over the duty to complete a C kiocb.
    ///
    /// # Safety
    ///
    /// - `iocb` must be valid until it is completed, with a valid `ki_filp`.
    /// - The caller must have that duty, and give it up.
    /// - `target` must stay valid until the kiocb is completed.
    #[inline]
    pub(crate) unsafe fn from_raw(iocb: NonNull<bindings::kiocb>, target: NonNull<T>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            iocb,
            target: Target::new(target),
        }
    }

    /// Counts the request as a user of its target, until it has been completed or the duty is given
    /// up. Returns whether users are let in.
    ///
    /// # Safety
    ///
    /// The target must come from [`Counted::inner`](crate::percpu_ref::Counted::inner), and the
    /// request must not have been counted.
    #[inline]
    pub unsafe fn try_begin_user(&mut self) -> bool {
        // SAFETY: By the safety requirements of this function, and the type invariant.
        unsafe { self.target.try_begin_user() }
    }

    /// Gives the duty up.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<bindings::kiocb> {
        let mut this = ManuallyDrop::new(self);
        this.target.end_user();
        this.iocb
    }

    /// Returns the C kiocb, which stays this object's.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::kiocb {
        self.iocb.as_ptr()
    }

    /// Returns the [`Keeper`] of the memory of this request.
    #[inline]
    pub(crate) fn keeper(&self) -> Keeper {
        Keeper(self.as_raw())
    }

    /// Returns the flags, `IOCB_*`.
    #[inline]
    pub(crate) fn flags(&self) -> c_int {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).ki_flags }
    }

    /// Returns the file's data.
    #[inline]
    pub fn target(&self) -> &T {
        // SAFETY: By the type invariant.
        unsafe { &*self.target.as_ptr() }
    }

    /// Returns the inode, which is valid as long as the request.
    #[inline]
    pub(crate) fn inode(&self) -> *mut bindings::inode {
        // SAFETY: By the type invariant the file is valid, and so is its inode.
        unsafe { (*(*self.as_raw()).ki_filp).f_inode }
    }

    /// Returns the mapping, which is valid as long as the request.
    #[inline]
    pub(super) fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: By the type invariant the file is valid, and so is its mapping.
        unsafe { (*(*self.as_raw()).ki_filp).f_mapping }
    }

    /// Returns where in the file the request begins, in bytes.
    #[inline]
    pub fn ki_pos(&self) -> u64 {
        // SAFETY: By the type invariant. CAST: The VFS passes no negative positions.
        unsafe { (*self.as_raw()).ki_pos as u64 }
    }

    /// Moves the position on by `bytes` bytes that were transferred.
    #[inline]
    pub fn advance(&mut self, bytes: usize) {
        // SAFETY: By the type invariant. The sum is at most the file's size.
        unsafe { (*self.as_raw()).ki_pos += bytes as i64 };
    }

    /// Returns the I/O priority of the request, and how long its data is expected to live.
    #[inline]
    pub(crate) fn hints(&self) -> (u16, bindings::rw_hint) {
        // SAFETY: By the type invariant; the inode is valid, and the hint needs no lock.
        unsafe { ((*self.as_raw()).ki_ioprio, (*self.inode()).i_write_hint) }
    }

    /// Returns whether the issuer sleeps until the request is done.
    #[inline]
    pub fn is_sync(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).ki_complete.is_none() }
    }

    /// Returns whether the submission must not sleep (`IOCB_NOWAIT`).
    #[inline]
    pub fn is_nowait(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_NOWAIT != 0
    }

    /// Returns whether the issuer polls for the completion (`IOCB_HIPRI`).
    #[inline]
    pub fn is_hipri(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_HIPRI != 0
    }

    /// Returns whether the data must be durable when the request is done (`O_DSYNC`, or a mount or
    /// file that is synchronous).
    #[inline]
    pub fn is_dsync(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_iocb_is_dsync(self.as_raw()) }
    }

    /// Returns whether metadata must be durable, too, when the request is done (`O_SYNC`).
    #[inline]
    pub fn is_full_sync(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_SYNC != 0
    }

    /// Returns whether the data must be written as a whole or not at all (`RWF_ATOMIC`).
    #[inline]
    pub fn is_atomic(&self) -> bool {
        self.flags() & bindings::EXT_IOCB_ATOMIC != 0
    }

    /// Tells the issuer that there is no bio to poll for.
    #[inline]
    pub(crate) fn clear_hipri(&mut self) {
        // SAFETY: By the type invariant. The owner alone changes the flags.
        unsafe { (*self.as_raw()).ki_flags &= !bindings::EXT_IOCB_HIPRI };
    }

    /// Returns whether the file's data is encrypted by its file system.
    #[inline]
    pub fn is_encrypted(&self) -> bool {
        // SAFETY: The inode is valid as long as the request.
        unsafe { (*self.inode()).i_flags & bindings::EXT_S_ENCRYPTED != 0 }
    }

    /// Returns the size of the file in bytes.
    #[inline]
    pub fn file_size(&self) -> u64 {
        // SAFETY: The inode is valid as long as the request. CAST: Sizes are not negative.
        unsafe { bindings::ext_i_size_read(self.inode()) as u64 }
    }

    /// Returns the block size of the file in bytes, a power of two.
    #[inline]
    pub fn file_block_size(&self) -> u32 {
        // SAFETY: The inode is valid as long as the request.
        unsafe { 1 << (*self.inode()).i_blkbits }
    }

    /// Returns a number that the requests of an open file have in common, and those of others have
    /// not.
    #[inline]
    pub fn file_id(&self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_raw()).ki_filp.addr() }
    }

    /// Returns a number that the requests of an inode have in common, and those of others have not.
    #[inline]
    pub fn inode_id(&self) -> usize {
        self.inode().addr()
    }

    /// Makes the bytes from `first` to `last` of the file durable; all of its metadata if `full`, or
    /// what is needed to read the data back. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// That of the file system.
    pub fn sync_range(&self, first: u64, last: u64, full: bool, _io: &MayIo) -> Result {
        // SAFETY: By the type invariant the file is valid. CAST: Positions in a file fit.
        to_result(unsafe {
            bindings::vfs_fsync_range(
                (*self.as_raw()).ki_filp,
                first as bindings::loff_t,
                last as bindings::loff_t,
                (!full).into(),
            )
        })
    }

    /// Reports an error of `len` bytes at `pos` to the watchers of the file system. Any context.
    pub fn report_error(&self, write: bool, pos: u64, len: u64, err: Error) {
        // SAFETY: The inode is valid as long as the request. CAST: Positions in a file fit.
        unsafe {
            bindings::ext_fserror_report_dio(
                self.inode(),
                write,
                pos as bindings::loff_t,
                len,
                err.to_errno(),
            )
        };
    }

    /// Updates time stamps and removes set-user-ID bits, as the VFS does before data is changed.
    /// May sleep, and take the inode's lock.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not.
    #[inline]
    pub fn modified(&mut self) -> Result {
        // SAFETY: By the type invariant.
        match unsafe { bindings::ext_kiocb_modified(self.as_raw()) } {
            // Nearly all writes: saves a call.
            0 => Ok(()),
            err => to_result(err),
        }
    }

    /// Returns a number that no other request in flight has.
    #[inline]
    pub fn id(&self) -> usize {
        self.as_raw().addr()
    }

    /// Completes an asynchronous request. Any context that the issuer's completion function may be
    /// called in.
    ///
    /// # Panics
    ///
    /// If the issuer sleeps for the request, because it has no completion function.
    #[inline]
    pub fn complete(self, ret: Result<usize>) {
        // SAFETY: By the type invariant.
        let ki_complete = unsafe { (*self.as_raw()).ki_complete };
        assert!(
            ki_complete.is_some(),
            "a kiocb whose issuer waits was completed"
        );
        let mut this = ManuallyDrop::new(self);
        if let Some(ki_complete) = ki_complete {
            // SAFETY: The kiocb is valid and has not been completed. It is not accessed after this.
            unsafe { ki_complete(this.as_raw(), to_ki_result(ret)) };
        }
        this.target.end_user();
    }
}

impl<T> Drop for Kiocb<T> {
    fn drop(&mut self) {
        pr_err!("BUG: a kiocb was dropped without being completed\n");
        // SAFETY: By the type invariant.
        if let Some(ki_complete) = unsafe { (*self.as_raw()).ki_complete } {
            // SAFETY: As in `complete`.
            unsafe { ki_complete(self.as_raw(), to_ki_result(Err(EIO))) };
        }
        self.target.end_user();
    }
}

/// Converts a result to what `ki_complete` and `read_iter` take: bytes, or a negative errno.
pub(crate) fn to_ki_result(ret: Result<usize>) -> isize {
    match ret {
        // CAST: No request is longer than `MAX_RW_COUNT`, 2 GiB.
        Ok(bytes) => bytes as isize,
        Err(err) => err.to_errno() as isize,
    }
}

/// Converts back what [`to_ki_result`] returns.
pub(crate) fn from_ki_result(ret: isize) -> Result<usize> {
    if ret < 0 {
        // CAST: An errno.
        Err(Error::from_errno(ret as i32))
    } else {
        // CAST: Not negative.
        Ok(ret as usize)
    }
}

/// A kiocb that its issuer polls for, and has not reaped.
///
/// # Invariants
///
/// The pointer is a valid kiocb for `'a`. Its `private` is null, or was set by the function that
/// the file has passed the request to.
pub struct PolledKiocb<'a> {
    iocb: NonNull<bindings::kiocb>,
    _p: PhantomData<&'a bindings::kiocb>,
}

impl PolledKiocb<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for `iocb`, for a lifetime that the caller chooses.
    #[inline]
    pub(crate) unsafe fn from_raw(iocb: NonNull<bindings::kiocb>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            iocb,
            _p: PhantomData,
        }
    }

    /// Returns the C pointer.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::kiocb {
        self.iocb.as_ptr()
    }
}
