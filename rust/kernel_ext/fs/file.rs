// SPDX-License-Identifier: GPL-2.0

//! Operations of regular files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::{
        code::EIOCBQUEUED,
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_uint, //
    },
    prelude::*,
    ThisModule, //
};

use super::{
    dio_gate::WithoutDio,
    fallocate::fallocate,
    iomap::{
        buffered_write,
        Mapping,
        VmVTable, //
    },
    kiocb::{
        self,
        to_ki_result,
        PollCookie, //
    },
    Kiocb,
};
use crate::{
    bindings,
    block::BlockDevice,
    context::{
        Io,
        Task, //
    },
    io_uring::{
        self,
        transfer,
        IssuedCmd,
        Transfer, //
    },
    iov::IovIter, //
};

/// What became of a request.
pub enum Issued<T: Mapping> {
    /// It is done: the result is the issuer's to have.
    Done(Kiocb<T>, Result<usize>),
    /// [`Kiocb::complete`] has been or will be called.
    Queued,
}

/// A regular file, whose size is fixed. Lives from the creation of its inode until the inode is
/// evicted. Its access time is that of its creation.
///
/// Direct I/O is the file's own; anything else goes through the page cache, by its
/// [`Mapping`].
pub trait FileOperations: Mapping + Sized + Send + Sync + 'static {
    /// Reads directly (`IOCB_DIRECT`) into the memory of `iter`. May sleep, unless
    /// [`Kiocb::is_nowait`].
    fn read(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>, io: &Io) -> Issued<Self>;

    /// Writes directly from the memory of `iter`. May sleep, unless [`Kiocb::is_nowait`].
    ///
    /// The checks common to all writes (limits, append) have been done, without a lock: that is
    /// right for files whose size is fixed.
    fn write(kiocb: Kiocb<Self>, iter: &mut IovIter<'_>, io: &Io) -> Issued<Self>;

    /// Tells what a command of io_uring (`IORING_OP_URING_CMD`) wants: `op` is its number, and
    /// `payload` what it brings along. [`read`](Self::read) or [`write`](Self::write) is called
    /// for it then.
    ///
    /// # Errors
    ///
    /// Whatever the issuer shall get; `EOPNOTSUPP` for a command that there is not.
    fn decode(op: u32, payload: &[u8; io_uring::PAYLOAD]) -> Result<Transfer>;

    /// Polls once for requests of this file, on the hardware queue that one of them went to;
    /// `None` if that one has not been submitted, or cannot be polled for. Must not wait.
    ///
    /// Returns how many requests were completed.
    fn poll(&self, cookie: Option<PollCookie>, task: &Task) -> u32;

    /// Makes what is on the device durable; what is in the page cache has been written there
    /// before. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Whatever the device answers.
    fn fsync(&self, io: &Io) -> Result;

    /// Zeroes `len` bytes at `pos`, which are whole blocks of the file. Sleeps and does I/O.
    ///
    /// No direct I/O is under way, and nothing of the range is in the page cache
    /// that is not zeroed.
    ///
    /// # Errors
    ///
    /// Whatever the device answers.
    fn zero(&self, pos: u64, len: u64, io: &Io) -> Result;

    /// Called before the size is changed, with the new one in bytes. May sleep.
    ///
    /// No direct I/O is under way.
    ///
    /// # Errors
    ///
    /// Whatever the one who changes the size shall get.
    fn set_size(&self, size: u64) -> Result;

    /// The device whose alignment direct I/O has to keep.
    fn block_device(&self) -> &BlockDevice;
}

/// The C operations of regular files with data `T`.
pub(super) struct FileVTable<T>(PhantomData<T>);

impl<T: FileOperations> FileVTable<T> {
    /// The `struct file_operations` for files of a module.
    pub(super) const fn file_operations(module: &ThisModule) -> bindings::file_operations {
        bindings::file_operations {
            owner: module.as_ptr(),
            // Direct overwrites take no lock that would put them in order, and what goes through
            // the page cache does not wait if it must not.
            fop_flags: bindings::EXT_FOP_DIO_PARALLEL_WRITE
                | bindings::EXT_FOP_BUFFER_RASYNC
                | bindings::EXT_FOP_BUFFER_WASYNC
                | bindings::EXT_FOP_DONTCACHE,
            open: Some(Self::open),
            read_iter: Some(Self::read_iter),
            write_iter: Some(Self::write_iter),
            iopoll: Some(Self::iopoll),
            mmap_prepare: Some(Self::mmap_prepare),
            uring_cmd: Some(Self::uring_cmd),
            uring_cmd_iopoll: Some(Self::uring_cmd_iopoll),
            fsync: Some(Self::fsync),
            fallocate: Some(Self::fallocate),
            llseek: Some(bindings::generic_file_llseek),
            // The VFS has files with `O_DIRECT` read without the page cache.
            splice_read: Some(bindings::filemap_splice_read),
            splice_write: Some(bindings::iter_file_splice_write),
            ..pin_init::zeroed()
        }
    }

    /// The `struct inode_operations`.
    pub(super) const INODE_OPERATIONS: bindings::inode_operations = bindings::inode_operations {
        setattr: Some(Self::setattr),
        getattr: Some(Self::getattr),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `inode` must be a regular file's with data `T`, and valid for `'a`.
    pub(super) unsafe fn data<'a>(inode: *mut bindings::inode) -> &'a T {
        // SAFETY: The data is there from before the inode can be found until its eviction.
        unsafe { &*(*inode).i_private.cast::<T>() }
    }

    /// # Safety
    ///
    /// `iocb` must be valid.
    unsafe fn is_direct(iocb: *const bindings::kiocb) -> bool {
        // SAFETY: Per the function's safety requirements. CAST: The flags are bits of an int.
        unsafe { (*iocb).ki_flags & bindings::IOCB_DIRECT as c_int != 0 }
    }

    /// # Safety
    ///
    /// `iocb` must be for a file with data `T`, and the duty to complete it be ours.
    unsafe fn kiocb(iocb: *mut bindings::kiocb) -> Kiocb<T> {
        // SAFETY: Per the function's safety requirements; the VFS passes no null.
        unsafe {
            let data = NonNull::from(Self::data((*(*iocb).ki_filp).f_inode));
            Kiocb::from_raw(NonNull::new_unchecked(iocb), data)
        }
    }

    /// Turns what became of a request into the return value of `read_iter` and `write_iter`.
    fn issued(iocb: *mut bindings::kiocb, sync: bool, issued: Issued<T>) -> isize {
        match issued {
            Issued::Queued => {
                assert!(!sync, "the issuer waits, but the request was queued");
                EIOCBQUEUED.to_errno() as isize
            }
            Issued::Done(kiocb, ret) => {
                // Another one would still be somebody's to complete.
                assert!(kiocb.into_raw().as_ptr() == iocb, "another kiocb came back");
                to_ki_result(ret)
            }
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The VFS passes a valid inode of such a file, and a file that is ours until it is
        // open.
        unsafe {
            (*file).f_mode |= bindings::EXT_FMODE_CAN_ODIRECT;
            if Self::data(inode).block_device().has_nowait() {
                (*file).f_mode |= bindings::EXT_FMODE_NOWAIT;
            }
        }
        0
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn read_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The VFS passes a valid kiocb and iterator.
        unsafe {
            if !Self::is_direct(iocb) {
                return bindings::filemap_read(iocb, iter, 0);
            }
        }
        // SAFETY: The VFS passes a valid kiocb, to be completed by us or by our return value.
        let kiocb = unsafe { Self::kiocb(iocb) };
        let sync = kiocb.is_sync();
        // SAFETY: The iterator is ours for the duration of the call.
        let issued = T::read(kiocb, unsafe { IovIter::from_raw(iter) }, &Io::new());
        Self::issued(iocb, sync, issued)
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn write_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The VFS passes a valid kiocb and iterator, which are ours for the duration of the
        // call.
        let ret = unsafe {
            if !Self::is_direct(iocb) {
                let iocb = NonNull::new_unchecked(iocb);
                return to_ki_result(buffered_write::<T>(iocb, IovIter::from_raw(iter)));
            }
            bindings::generic_write_checks(iocb, iter)
        };
        if ret <= 0 {
            return ret;
        }
        // SAFETY: The VFS passes a valid kiocb, to be completed by us or by our return value.
        let kiocb = unsafe { Self::kiocb(iocb) };
        let sync = kiocb.is_sync();
        // SAFETY: The iterator is ours for the duration of the call.
        let issued = T::write(kiocb, unsafe { IovIter::from_raw(iter) }, &Io::new());
        Self::issued(iocb, sync, issued)
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn iopoll(
        iocb: *mut bindings::kiocb,
        _batch: *mut bindings::io_comp_batch,
        _flags: c_uint,
    ) -> c_int {
        // SAFETY: The issuer passes a kiocb of such a file that it has not reaped.
        let (data, cookie) = unsafe {
            (
                Self::data((*(*iocb).ki_filp).f_inode),
                kiocb::poll_cookie(iocb),
            )
        };
        let reaped = data.poll(cookie, &Task::new());
        // CAST: Not so many requests can be under way.
        reaped as c_int
    }

    /// # Safety
    ///
    /// For io_uring to call.
    unsafe extern "C" fn uring_cmd(
        cmd: *mut kernel::bindings::io_uring_cmd,
        issue_flags: c_uint,
    ) -> c_int {
        // SAFETY: io_uring passes a valid command, with the flags that it is issued with.
        let cmd = unsafe { IssuedCmd::from_raw(NonNull::new_unchecked(cmd.cast()), issue_flags) };
        from_result(|| transfer::issue(cmd, T::decode))
    }

    /// # Safety
    ///
    /// For io_uring to call.
    unsafe extern "C" fn uring_cmd_iopoll(
        cmd: *mut kernel::bindings::io_uring_cmd,
        _batch: *mut bindings::io_comp_batch,
        _flags: c_uint,
    ) -> c_int {
        let cmd = cmd.cast::<bindings::io_uring_cmd>();
        // SAFETY: io_uring passes a command for such a file that has been queued, and not been seen
        // to be done, with the ring locked.
        let (data, cookie) = unsafe {
            (
                Self::data((*(*cmd).file).f_inode),
                transfer::poll_cookie(NonNull::new_unchecked(cmd)),
            )
        };
        let reaped = data.poll(cookie, &Task::new());
        // CAST: Not so many requests can be under way.
        reaped as c_int
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
        // SAFETY: The VFS passes a description for us to complete, of a mapping of such a file.
        unsafe { (*desc).vm_ops = &VmVTable::<T>::OPERATIONS };
        0
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        _datasync: c_int,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The VFS passes a valid file of such an inode. An error of the writeback that
            // this file has not been told of is reported here.
            to_result(unsafe { bindings::file_write_and_wait_range(file, start, end) })?;
            // SAFETY: As above.
            unsafe { Self::data((*file).f_inode) }.fsync(&Io::new())?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn fallocate(
        file: *mut bindings::file,
        mode: c_int,
        pos: bindings::loff_t,
        len: bindings::loff_t,
    ) -> c_long {
        // SAFETY: The VFS passes a valid file of such an inode, open for writing, and has checked
        // the range.
        from_result(|| unsafe {
            let data = Self::data((*file).f_inode);
            fallocate(data, file, mode, pos, len, &Io::new()).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> c_int {
        from_result(|| {
            // SAFETY: The VFS passes valid objects, with the inode locked.
            to_result(unsafe { bindings::setattr_prepare(idmap, dentry, attr) })?;
            // SAFETY: As above; the dentry is positive.
            let inode = unsafe { (*dentry).d_inode };
            // SAFETY: As above.
            if unsafe { (*attr).ia_valid } & bindings::ATTR_SIZE != 0 {
                // SAFETY: As above.
                let (data, inode) = unsafe { (Self::data(inode), NonNull::new_unchecked(inode)) };
                // SAFETY: As above; the inode stays locked until we return.
                let _alone = unsafe { WithoutDio::new(data.dio_gate(), inode, &Io::new()) };
                // SAFETY: As above. CAST: `setattr_prepare` has refused negative sizes.
                data.set_size(unsafe { (*attr).ia_size } as u64)?;
            }
            // SAFETY: As above.
            unsafe { bindings::setattr_copy(idmap, inode, attr) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        mask: u32,
        _flags: c_uint,
    ) -> c_int {
        // SAFETY: The VFS passes valid objects; the dentry is positive.
        unsafe {
            let inode = (*(*path).dentry).d_inode;
            bindings::generic_fillattr(idmap, mask, inode, stat);
            if mask & bindings::STATX_DIOALIGN != 0 {
                let bdev = Self::data(inode).block_device();
                (*stat).result_mask |= bindings::STATX_DIOALIGN;
                (*stat).dio_mem_align = bdev.dma_alignment_mask() + 1;
                (*stat).dio_offset_align = bdev.logical_block_size();
            }
        }
        0
    }
}
