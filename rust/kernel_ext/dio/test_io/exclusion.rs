// SPDX-License-Identifier: GPL-2.0

//! Excluding direct I/O from the file of a request.

use core::ptr::NonNull;

use super::TestIo;
use crate::{
    block::BlockDevice,
    context::MayIo,
    dio::DioTarget,
    fs::inode::LockedInode, //
};

impl<T: DioTarget> TestIo<T> {
    /// Runs `f` while direct I/O to `device` is excluded from the request's inode, by the gate of the
    /// target. Sleeps. One call at a time for a target, because the end of any of them opens the gate.
    pub fn without_dio<R>(&self, device: &BlockDevice, f: impl FnOnce() -> R) -> R {
        // SAFETY: The file is ours, and keeps its inode.
        let inode = unsafe {
            let inode = (*(*self.iocb.as_raw()).ki_filp).f_inode;
            LockedInode::lock(NonNull::new_unchecked(inode))
        };
        let _exclusion = self
            .target
            .gate()
            .map(|gate| gate.exclude(&inode, device, &MayIo::new()));
        f()
    }
}
