// SPDX-License-Identifier: GPL-2.0

//! Direct I/O, and those who must have a file without.
//!
//! Other file systems hold the inode's lock in shared mode while they submit. Here, direct I/O looks
//! at a gate, in a cache line that is hardly ever written to, and takes the lock only if that is
//! closed.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::ptr::NonNull;

use kernel::{
    ffi::c_uint,
    sync::atomic::{
        ordering,
        Atomic, //
    },
    types::NotThreadSafe, //
};

use crate::{
    bindings,
    context::Io, //
};

/// Keeps direct I/O out of a file, for as long as somebody else wants it.
pub struct DioGate {
    closed: Atomic<bool>,
}

impl DioGate {
    /// Creates one that is open.
    pub const fn new() -> Self {
        Self {
            closed: Atomic::new(false),
        }
    }

    /// Has direct I/O to wait? The answer is good for whoever was counted in `i_dio_count` before
    /// asking.
    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        // Who finds it open sees what was done while it was closed.
        self.closed.load(ordering::Acquire)
    }

    /// Drops a count of the `i_dio_count` of `inode`, and wakes who waits for the last one to be
    /// dropped. Any context.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, this its gate, and the count be the caller's, who gives it up.
    #[inline]
    pub(super) unsafe fn end_dio(&self, inode: *mut bindings::inode) {
        // SAFETY: Per the function's safety requirements. Nobody waits for direct I/O on these files
        // but `WithoutDio`, which closes the gate first: the VFS leaves it to file systems, and
        // swap files, for which it waits, have operations that these have not. Both sides have a
        // full barrier in between: either this sees it closed, or the other one the count dropped.
        unsafe { bindings::rnull_dio_inode_dio_end(inode, self.closed.as_ptr()) };
    }
}

impl Default for DioGate {
    fn default() -> Self {
        Self::new()
    }
}

/// A file on which no direct I/O is under way, and none begins.
///
/// Reclaim must not do I/O for the task meanwhile: what it writes to may lie in this very file, by
/// way of a loop device, and would wait for the task.
pub(super) struct WithoutDio<'a> {
    gate: &'a DioGate,
    /// The task's `PF_MEMALLOC_NOIO`, as it was before.
    noio: c_uint,
    /// It is a matter of this task.
    _not_send: NotThreadSafe,
}

impl<'a> WithoutDio<'a> {
    /// Waits until all direct I/O on `inode` is over that has begun. Sleeps.
    ///
    /// What begins later waits for the inode's lock, so that this does not wait for that.
    ///
    /// # Safety
    ///
    /// `inode` must be valid, `gate` its gate, and its lock be held for writing until this object
    /// is dropped.
    pub(super) unsafe fn new(gate: &'a DioGate, inode: NonNull<bindings::inode>, _io: &Io) -> Self {
        // Full order: whoever begins direct I/O sees it closed, or is counted before that is
        // looked at below. Whoever ends it sees it closed, or is not counted any more.
        gate.closed.xchg(true, ordering::Full);
        // SAFETY: Per the function's safety requirements.
        unsafe { bindings::inode_dio_wait(inode.as_ptr()) };
        Self {
            gate,
            // SAFETY: No requirements.
            noio: unsafe { bindings::rnull_dio_memalloc_noio_save() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for WithoutDio<'_> {
    fn drop(&mut self) {
        // SAFETY: This is what was saved, by this task.
        unsafe { bindings::rnull_dio_memalloc_noio_restore(self.noio) };
        self.gate.closed.store(false, ordering::Release);
    }
}
