// SPDX-License-Identifier: GPL-2.0

//! Requests that read and write.

use core::{
    mem::MaybeUninit,
    ptr::null_mut, //
};

use kernel::{
    error::{
        code::{
            ERESTARTNOHAND,
            ERESTARTNOINTR,
            ERESTARTSYS,
            ERESTART_RESTARTBLOCK, //
        },
        to_result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*, //
};

use super::{
    iocb::Iocb,
    request::{
        Request,
        Requests, //
    },
};
use crate::{
    bindings,
    context::MayIo, //
};

/// Whether data goes to or comes from the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// From the file to memory.
    Read,
    /// From memory to the file.
    Write,
}

/// The memory of user space that a request transfers.
///
/// # Invariants
///
/// `iovec` is NULL, or an allocation that belongs to this object, to which `iter` points. `iter` points
/// to nothing else.
struct UserMemory {
    iter: bindings::iov_iter,
    iovec: *mut bindings::iovec,
}

impl UserMemory {
    /// Describes the memory of `iocb`, which has one range, or several if `vectored`.
    #[inline]
    fn import(iocb: &Iocb, transfer: Transfer, vectored: bool) -> Result<Self> {
        let source = match transfer {
            Transfer::Read => bindings::ITER_DEST,
            Transfer::Write => bindings::ITER_SOURCE,
        } as c_int;
        // CAST: The number of segments is cut, as for C.
        match (vectored, iocb.nbytes as c_uint) {
            (true, 0) => Self::import_range(source, 0, 0),
            (true, segments) => Self::import_segments(source, iocb.buf, segments),
            (false, _) => Self::import_range(source, iocb.buf, iocb.nbytes),
        }
    }

    #[inline]
    fn import_range(source: c_int, buf: u64, bytes: u64) -> Result<Self> {
        let mut iter = MaybeUninit::uninit();
        // SAFETY: `iter` is valid for writes. The kernel checks what user space has given.
        unsafe {
            check(bindings::import_ubuf(
                source,
                buf as *mut c_void,
                bytes as usize,
                iter.as_mut_ptr(),
            ))?;
            // INVARIANT: The memory is described in `iter` itself.
            Ok(Self {
                iter: iter.assume_init(),
                iovec: null_mut(),
            })
        }
    }

    /// There must be at least one segment.
    fn import_segments(source: c_int, buf: u64, segments: c_uint) -> Result<Self> {
        let mut iter = MaybeUninit::uninit();
        let mut one: bindings::iovec = pin_init::zeroed();
        let mut iovec = &raw mut one;
        // SAFETY: As for a range. There is room for one segment in `one`, which `iter` does not
        // point to, because it describes one segment in itself. Several ones are allocated.
        let ret = unsafe {
            bindings::import_iovec(
                source,
                (buf as *mut c_void).cast(),
                segments,
                1,
                &mut iovec,
                iter.as_mut_ptr(),
            )
        };
        if ret < 0 {
            // CAST: A negative errno.
            return Err(Error::from_errno(ret as c_int));
        }
        // INVARIANT: The kernel has set `iovec` to NULL, or to an allocation.
        Ok(Self {
            // SAFETY: It has been initialized.
            iter: unsafe { iter.assume_init() },
            iovec,
        })
    }
}

impl Drop for UserMemory {
    fn drop(&mut self) {
        // SAFETY: It is NULL, or was allocated for this object.
        unsafe { bindings::kfree(self.iovec.cast()) };
    }
}

impl<T: Requests> Request<T> {
    /// Issues the request. The context gets it back when it is complete, which may be before this
    /// returns. May sleep.
    ///
    /// # Errors
    ///
    /// Nothing has been issued, and the context does not get the request. As `io_submit(2)`.
    pub fn read_write(
        mut self,
        iocb: &Iocb,
        transfer: Transfer,
        vectored: bool,
        _io: &MayIo,
    ) -> Result {
        self.prepare(iocb, transfer)?;
        let mut memory = UserMemory::import(iocb, transfer, vectored)?;
        let write = transfer == Transfer::Write;
        let inner = self.inner_mut();
        let raw = inner.kiocb.as_raw();
        // SAFETY: The kiocb and its file are valid, and so is the iterator.
        check(unsafe {
            bindings::rw_verify_area(
                c_int::from(write),
                (*raw).ki_filp,
                &raw const (*raw).ki_pos,
                memory.iter.__bindgen_anon_1.__bindgen_anon_1.as_ref().count,
            )
        })?;
        if write {
            // SAFETY: The kiocb is valid and ours, and so is its file.
            let regular = unsafe { bindings::ext_file_is_regular((*raw).ki_filp) };
            if regular && !inner.kiocb.start_write() {
                // The file system is frozen, and the request must not sleep.
                self.complete(EAGAIN.to_errno() as isize);
                return Ok(());
            }
            // SAFETY: As above.
            unsafe { (*raw).ki_flags |= bindings::EXT_IOCB_WRITE };
        }
        let issued = self.issue();
        // SAFETY: The kiocb and its file are valid as long as this has its reference. The file has
        // the function, as was checked.
        let ret = unsafe { bindings::ext_call_iter(raw, &mut memory.iter, write) };
        if ret != bindings::EXT_EIOCBQUEUED {
            issued.complete(not_restarted(ret));
        }
        drop(issued);
        Ok(())
    }

    /// Sets the fields of the kiocb, and checks that the file can be read or written.
    fn prepare(&mut self, iocb: &Iocb, transfer: Transfer) -> Result {
        let raw = self.inner_mut().kiocb.as_raw();
        // SAFETY: The kiocb is valid and ours, and so is its file.
        unsafe {
            let file = (*raw).ki_filp;
            (*raw).ki_flags = (*file).f_iocb_flags as i32;
            if iocb.flags & Iocb::RESFD != 0 {
                (*raw).ki_flags |= bindings::EXT_IOCB_EVENTFD;
            }
            (*raw).ki_ioprio = if iocb.flags & Iocb::IOPRIO != 0 {
                to_result(bindings::ext_ioprio_check(iocb.reqprio.into()))?;
                // CAST: The bits of the priority.
                iocb.reqprio as u16
            } else {
                bindings::ext_get_current_ioprio()
            };
            let write = transfer == Transfer::Write;
            if iocb.rw_flags != 0 {
                to_result(bindings::ext_kiocb_set_rw_flags(raw, iocb.rw_flags, write))?;
            }
            let (mode, has_function) = match transfer {
                Transfer::Read => (
                    bindings::EXT_FMODE_READ,
                    (*(*file).f_op).read_iter.is_some(),
                ),
                Transfer::Write => (
                    bindings::EXT_FMODE_WRITE,
                    (*(*file).f_op).write_iter.is_some(),
                ),
            };
            if (*file).f_mode & mode == 0 {
                return Err(EBADF);
            }
            if !has_function {
                return Err(EINVAL);
            }
        }
        Ok(())
    }
}

/// As `to_result`, which is not inlined.
#[inline]
fn check(ret: c_int) -> Result {
    if ret < 0 {
        return Err(Error::from_errno(ret));
    }
    Ok(())
}

/// Returns the result for a call that is not restarted after a signal, because other requests of
/// the same system call may be under way.
fn not_restarted(ret: isize) -> isize {
    let restarts = [
        ERESTARTSYS,
        ERESTARTNOINTR,
        ERESTARTNOHAND,
        ERESTART_RESTARTBLOCK,
    ];
    if restarts.iter().any(|err| err.to_errno() as isize == ret) {
        EINTR.to_errno() as isize
    } else {
        ret
    }
}
