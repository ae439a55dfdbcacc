// SPDX-License-Identifier: GPL-2.0

//! The C operations of regular files.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::{
        code::{
            EIOCBQUEUED,
            ENOSPC, //
        },
        from_result,
        to_result, //
    },
    ffi::{
        c_int,
        c_long,
        c_uint, //
    },
    fs::LocalFile,
    ThisModule, //
};

use super::{
    file::FileOperations,
    inode::{
        self,
        LockedInode, //
    },
    iomap::VmVTable,
    kiocb::{
        to_ki_result,
        Issued,
        Kiocb,
        PolledKiocb, //
    },
};
use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
    io_uring::{
        IssuedCmd,
        PolledCmd, //
    },
    iov::{
        Keeper,
        RawIovIter, //
    },
};

/// The C operations of regular files with data `T`.
pub(super) struct FileVTable<T>(PhantomData<T>);

impl<T: FileOperations> FileVTable<T> {
    /// Returns the `struct file_operations` for files of a module.
    pub(super) const fn file_operations(module: &ThisModule) -> bindings::file_operations {
        bindings::file_operations {
            owner: module.as_ptr(),
            // Direct overwrites take no lock, and buffered I/O obeys NOWAIT.
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
            setlease: Some(bindings::generic_setlease),
            fsync: Some(Self::fsync),
            fallocate: Some(Self::fallocate),
            llseek: Some(bindings::generic_file_llseek),
            // The VFS reads files with `O_DIRECT` without the page cache.
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
    /// `iocb` must be valid.
    unsafe fn is_direct(iocb: *const bindings::kiocb) -> bool {
        // SAFETY: By the safety requirements of this function. CAST: The flags are bits of an int.
        unsafe { (*iocb).ki_flags & bindings::IOCB_DIRECT as c_int != 0 }
    }

    /// Passes a request to `f`, and returns what `read_iter` and `write_iter` return.
    ///
    /// # Safety
    ///
    /// For `read_iter` and `write_iter`, with their arguments: `iocb` must be for a file with data
    /// `T`, and to be completed by the return value or later.
    #[inline]
    unsafe fn issue(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
        f: fn(Kiocb<T>, &mut RawIovIter<'_>, &MayIo) -> Issued<T>,
    ) -> isize {
        // SAFETY: By the safety requirements of this function; the VFS passes no null. The inode,
        // and so its data, stays as long as the file, which the issuer keeps.
        let kiocb = unsafe {
            let data = NonNull::from(inode::data::<T>((*(*iocb).ki_filp).f_inode));
            Kiocb::from_raw(NonNull::new_unchecked(iocb), data)
        };
        let sync = kiocb.is_sync();
        // SAFETY: The iterator is ours for the call, and the issuer keeps its memory until it has
        // the result.
        let mut iter = unsafe { RawIovIter::from_raw(iter, Keeper(iocb)) };
        match f(kiocb, &mut iter, &MayIo::new()) {
            Issued::Queued => {
                assert!(!sync, "a request whose issuer waits was queued");
                EIOCBQUEUED.to_errno() as isize
            }
            Issued::Done(kiocb, ret) => {
                // Another kiocb would never be completed.
                assert!(
                    kiocb.into_raw().as_ptr() == iocb,
                    "another kiocb was returned"
                );
                to_ki_result(ret)
            }
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: The VFS passes a valid inode of such a file, and a file that is exclusively ours
        // until it is open.
        unsafe {
            (*file).f_mode |= bindings::EXT_FMODE_CAN_ODIRECT;
            if inode::data::<T>(inode).block_device().has_nowait() {
                (*file).f_mode |= bindings::EXT_FMODE_NOWAIT;
            }
            bindings::generic_file_open(inode, file)
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn read_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The VFS passes a valid kiocb and iterator of such a file.
        unsafe {
            if Self::is_direct(iocb) {
                Self::issue(iocb, iter, T::read)
            } else {
                bindings::filemap_read(iocb, iter, 0)
            }
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn write_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The VFS passes a valid kiocb and iterator of such a file.
        unsafe {
            if !Self::is_direct(iocb) {
                return Self::issue(iocb, iter, T::write_buffered);
            }
            let ret = bindings::generic_write_checks(iocb, iter);
            if ret <= 0 {
                return ret;
            }
            let left = bindings::ext_i_size_read((*(*iocb).ki_filp).f_inode) - (*iocb).ki_pos;
            if left <= 0 {
                return ENOSPC.to_errno() as isize;
            }
            // CAST: It is positive.
            bindings::ext_iov_iter_truncate(iter, left as u64);
            Self::issue(iocb, iter, T::write)
        }
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
        let (data, kiocb) = unsafe {
            (
                inode::data::<T>((*(*iocb).ki_filp).f_inode),
                PolledKiocb::from_raw(NonNull::new_unchecked(iocb)),
            )
        };
        // CAST: Not so many requests can be in flight.
        data.iopoll(&kiocb, &MaySleep::new()) as c_int
    }

    /// # Safety
    ///
    /// For io_uring to call.
    unsafe extern "C" fn uring_cmd(
        cmd: *mut kernel::bindings::io_uring_cmd,
        issue_flags: c_uint,
    ) -> c_int {
        let cmd = cmd.cast::<bindings::io_uring_cmd>();
        // SAFETY: io_uring passes a valid command for such a file, with the flags that it is issued
        // with.
        let (data, cmd) = unsafe {
            (
                inode::data::<T>((*(*cmd).file).f_inode),
                IssuedCmd::from_raw(NonNull::new_unchecked(cmd), issue_flags),
            )
        };
        from_result(|| data.uring_cmd(cmd))
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
        // SAFETY: io_uring passes a command for such a file that has been queued, and whose end it
        // has not seen, with the ring locked.
        let (data, cmd) = unsafe {
            (
                inode::data::<T>((*(*cmd).file).f_inode),
                PolledCmd::from_raw(NonNull::new_unchecked(cmd)),
            )
        };
        // CAST: Not so many requests can be in flight.
        data.uring_cmd_iopoll(&cmd, &MaySleep::new()) as c_int
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
        // SAFETY: The VFS passes a description of a mapping of such a file, to be completed.
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
            // SAFETY: The VFS passes a valid file of such an inode. The function returns an error
            // of the writeback once for each open file.
            to_result(unsafe { bindings::file_write_and_wait_range(file, start, end) })?;
            // SAFETY: As above.
            unsafe { inode::data::<T>((*file).f_inode) }.fsync(&MayIo::new())?;
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
        from_result(|| {
            // SAFETY: The VFS passes a valid file of such an inode, open for writing, whose
            // position is not in use.
            let (data, file) = unsafe {
                (
                    inode::data::<T>((*file).f_inode),
                    LocalFile::from_raw_file(file.cast()),
                )
            };
            // CAST: The VFS has checked that neither is negative.
            data.fallocate(file, mode, pos as u64, len as u64, &MayIo::new())?;
            Ok(0)
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
                // SAFETY: As above; the inode stays locked until this function returns.
                let (data, locked) = unsafe {
                    (
                        inode::data::<T>(inode),
                        LockedInode::locked_by_vfs(NonNull::new_unchecked(inode)),
                    )
                };
                // SAFETY: As above. CAST: `setattr_prepare` has refused negative sizes.
                data.set_size(&locked, unsafe { (*attr).ia_size } as u64, &MayIo::new())?;
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
                let bdev = inode::data::<T>(inode).block_device();
                (*stat).result_mask |= bindings::STATX_DIOALIGN;
                (*stat).dio_mem_align = bdev.dma_alignment_mask() + 1;
                (*stat).dio_offset_align = bdev.logical_block_size();
            }
        }
        0
    }
}
