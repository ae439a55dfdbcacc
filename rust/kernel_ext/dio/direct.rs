// SPDX-License-Identifier: GPL-2.0

//! Direct I/O of files that this crate has made.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

use core::ptr::{
    self,
    null,
    null_mut,
    NonNull, //
};

use kernel::{
    error::code::EIOCBQUEUED,
    prelude::*, //
};

use super::{
    call::DioCall,
    engine::{
        take,
        Engine,
        Taken, //
    }, //
};
use crate::{
    bindings,
    context::MayIo,
    fs::{
        iomap::{
            self,
            Mapping, //
        },
        kiocb::from_ki_result,
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

/// Carries out direct I/O on a file, whose ranges lie where its [`Mapping`] says, by the [`Engine`]
/// that is its data. Sleeps, unless [`Kiocb::is_nowait`].
///
/// What the engine passes on, the kernel's own code does.
///
/// The issuer gets what the engine or the kernel's `iomap_dio_rw()` returns, or `EINVAL`: the target
/// of the request is not the data of its inode, or `iter` is that of another request.
#[inline]
pub fn direct_io<T: Engine + Mapping>(
    kiocb: Kiocb<T>,
    iter: &mut RawIovIter<'_>,
    io: &MayIo,
) -> Issued<T> {
    // SAFETY: The inode is valid as long as the request.
    let data = unsafe { (*kiocb.inode()).i_private };
    if !ptr::eq(data.cast(), kiocb.target()) || iter.keeper() != kiocb.keeper() {
        return Issued::Done(kiocb, Err(EINVAL));
    }
    // SAFETY: The kiocb is valid, and in this call. The operations are those of files with data `T`,
    // which this one has.
    let call = unsafe {
        DioCall::from_raw(
            NonNull::new_unchecked(kiocb.as_raw()),
            iter.is_source(),
            (iomap::operations::<T>(), null()),
            0,
            null_mut(),
            0,
        )
    };
    match take(kiocb, iter, &call, io) {
        Taken::Issued(issued) => issued,
        Taken::Passed(kiocb) => pass_on(kiocb, iter),
    }
}

/// An inode locked in shared mode, which keeps direct I/O from being excluded.
///
/// # Invariants
///
/// `0` is a file to which this object has a reference, and whose inode it has locked.
struct SharedInode(NonNull<bindings::file>);

impl SharedInode {
    /// Locks the inode of a request, which must not be counted. Sleeps, unless [`Kiocb::is_nowait`].
    fn lock<T>(kiocb: &Kiocb<T>) -> Result<Self> {
        let inode = kiocb.inode();
        // SAFETY: The inode is valid as long as the request.
        unsafe {
            if !kiocb.is_nowait() {
                bindings::ext_inode_lock_shared(inode);
            } else if !bindings::ext_inode_trylock_shared(inode) {
                return Err(EAGAIN);
            }
        }
        // SAFETY: The file is valid as long as the request.
        let file = unsafe { bindings::ext_get_file((*kiocb.as_raw()).ki_filp) };
        // INVARIANT: The lock and the reference have just been taken.
        // SAFETY: A valid file is not at NULL.
        Ok(Self(unsafe { NonNull::new_unchecked(file) }))
    }
}

impl Drop for SharedInode {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the file keeps its inode.
        unsafe {
            bindings::ext_inode_unlock_shared((*self.0.as_ptr()).f_inode);
            bindings::fput(self.0.as_ptr());
        }
    }
}

/// Has the kernel carry out a request of such a file, of which nothing has been done.
#[cold]
fn pass_on<T: Engine + Mapping>(kiocb: Kiocb<T>, iter: &mut RawIovIter<'_>) -> Issued<T> {
    // The kernel's code does not ask the gate that excludes direct I/O; who closes the gate has the
    // lock.
    let _inode = match SharedInode::lock(&kiocb) {
        Ok(inode) => inode,
        Err(err) => return Issued::Done(kiocb, Err(err)),
    };
    let target = NonNull::from(kiocb.target());
    let iocb = kiocb.into_raw();
    // SAFETY: Kiocb and iterator are valid and exclusively ours. The operations are those of files
    // with data `T`.
    let ret = unsafe {
        bindings::iomap_dio_rw(
            iocb.as_ptr(),
            iter.as_raw(),
            iomap::operations::<T>(),
            null(),
            0,
            null_mut(),
            0,
        )
    };
    if ret == EIOCBQUEUED.to_errno() as isize {
        return Issued::Queued;
    }
    // SAFETY: The request has not been queued, so it is the caller's again. Its file is open, and so
    // keeps its data.
    let kiocb = unsafe { Kiocb::from_raw(iocb, target) };
    Issued::Done(kiocb, from_ki_result(ret))
}
