// SPDX-License-Identifier: GPL-2.0

//! Excluding direct I/O from a file, for truncation, `fallocate(2)` and buffered writes.
//!
//! Other file systems hold the inode's lock in shared mode while they submit direct I/O. Here,
//! direct I/O tests a flag, in a cache line that is hardly ever written to, and takes the lock only
//! if the flag is set, or if the kernel's own code carries the request out.
//!
//! Lock order: `i_rwsem`, then the wait for `i_dio_count` to be zero. A task that is counted in
//! `i_dio_count` must not wait for `i_rwsem`.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use kernel::{
    ffi::c_uint,
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    types::NotThreadSafe, //
};

use crate::{
    bindings,
    block::BlockDevice,
    context::MayIo,
    fs::LockedInode, //
};

/// What has requests whose direct I/O can be excluded.
pub trait Gated {
    /// Returns the gate that excludes direct I/O from the file of a request. Always the same. If
    /// there is none, the file system holds the inode's lock when it passes a request on.
    fn gate(&self) -> Option<&DioGate>;
}

/// Drops a count of the `i_dio_count` of `inode`, and wakes the waiters for the last one. Any
/// context.
///
/// # Safety
///
/// `inode` must be valid, and the count be the caller's, who gives it up.
#[inline]
pub(super) unsafe fn end_dio(inode: *mut bindings::inode) {
    // SAFETY: By the safety requirements of this function.
    unsafe { bindings::ext_inode_dio_end(inode, &true) };
}

/// How often a task that waits for direct I/O polls the device, in ms.
const POLL_INTERVAL_MS: u32 = 10;

/// A flag that excludes direct I/O from a file while it is set.
///
/// # Examples
///
/// ```
/// use kernel_ext::{block::BlockDevice, context::MayIo, dio::DioGate, fs::LockedInode};
///
/// fn without_direct_io(
///     gate: &DioGate,
///     inode: &LockedInode<'_>,
///     device: &BlockDevice,
///     io: &MayIo,
///     f: impl FnOnce(),
/// ) {
///     let _exclusion = gate.exclude(inode, device, io);
///     // No direct I/O is in flight, and none begins.
///     f();
/// }
/// ```
pub struct DioGate {
    closed: Atomic<bool>,
}

impl DioGate {
    /// Creates a gate that is open.
    pub const fn new() -> Self {
        Self {
            closed: Atomic::new(false),
        }
    }

    /// Returns whether direct I/O has to wait. The answer is reliable for a request that was
    /// counted in `i_dio_count` before the call.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        // Acquire: a request that finds it open sees what was done while it was closed.
        self.closed.load(ordering::Acquire)
    }

    /// Drops a count of the `i_dio_count` of `inode`, and wakes a waiter for the last one. Any
    /// context.
    ///
    /// A waiter is not woken if it has closed another gate than this. No other code than
    /// [`DioExclusion`] waits for direct I/O on these files: the VFS leaves that to file systems,
    /// and swap files, for which it waits, have operations that these files lack.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, and the count be the caller's, who gives it up.
    #[inline]
    pub(super) unsafe fn end_dio(&self, inode: *mut bindings::inode) {
        // Both sides have a full barrier between their store and their load: either this sees the
        // gate closed, or `DioExclusion` sees the count dropped.
        // SAFETY: By the safety requirements of this function.
        unsafe { bindings::ext_inode_dio_end(inode, self.closed.as_ptr()) };
    }

    /// Waits until all direct I/O on `inode` that has begun is over. Direct I/O that begins later
    /// waits for the inode's lock, until the returned object is dropped.
    ///
    /// Polls `device`, on which the direct I/O is, because the current task may be the only one that
    /// would poll for a request in flight.
    ///
    /// The gate must be that of the inode's requests, and the inode stay locked until the object is
    /// dropped; otherwise direct I/O is not excluded.
    pub fn exclude(
        &self,
        inode: &LockedInode<'_>,
        device: &BlockDevice,
        io: &MayIo,
    ) -> DioExclusion<'_> {
        let exclusion = self.close();
        // SAFETY: The inode is valid.
        while !unsafe { bindings::ext_inode_dio_wait_timeout(inode.as_raw(), POLL_INTERVAL_MS) } {
            device.poll_all(io);
        }
        // Returns at once. Orders what the direct I/O has done before what follows.
        // SAFETY: The inode is valid, and locked.
        unsafe { bindings::inode_dio_wait(inode.as_raw()) };
        exclusion
    }

    /// As [`exclude`](Self::exclude), but does not sleep.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if direct I/O is in flight.
    pub fn try_exclude(&self, inode: &LockedInode<'_>) -> Result<DioExclusion<'_>> {
        // SAFETY: The inode is valid.
        let finished = || unsafe { bindings::ext_inode_dio_finished(inode.as_raw()) };
        // Before the gate is closed, which makes direct I/O that must not sleep fail.
        if !finished() {
            return Err(EAGAIN);
        }
        let exclusion = self.close();
        if finished() {
            Ok(exclusion)
        } else {
            Err(EAGAIN)
        }
    }

    fn close(&self) -> DioExclusion<'_> {
        // Full order: a request that begins sees the gate closed, or is counted before the count is
        // read. A request that ends sees it closed, or is no longer counted.
        self.closed.xchg(true, ordering::Full);
        DioExclusion {
            gate: self,
            // SAFETY: No requirements.
            noio: unsafe { bindings::ext_memalloc_noio_save() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Default for DioGate {
    fn default() -> Self {
        Self::new()
    }
}

/// Direct I/O is excluded from a file until this object is dropped.
///
/// Reclaim does no I/O for the task in this time, because what it writes to may lie in this very
/// file, under a loop device, and would wait for the task.
pub struct DioExclusion<'a> {
    gate: &'a DioGate,
    /// The task's previous `PF_MEMALLOC_NOIO`.
    noio: c_uint,
    /// `PF_MEMALLOC_NOIO` is a flag of this task.
    _not_send: NotThreadSafe,
}

impl Drop for DioExclusion<'_> {
    fn drop(&mut self) {
        // SAFETY: This is what was saved, by this task.
        unsafe { bindings::ext_memalloc_noio_restore(self.noio) };
        self.gate.closed.store(false, ordering::Release);
    }
}
