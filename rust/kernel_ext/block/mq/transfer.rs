// SPDX-License-Identifier: GPL-2.0

//! Requests that read and write files.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)

mod polled;

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::null_mut, //
};

use kernel::{
    container_of,
    ffi::{
        c_int,
        c_long, //
    },
    prelude::*,
    sync::atomic::{
        ordering::{
            Full,
            Relaxed, //
        },
        Atomic, //
    },
    types::Opaque, //
};

use crate::{
    bindings,
    block::SECTOR_SHIFT,
    compat::error::code::EOPNOTSUPP,
    context::MayIo,
    fs::backing_file::BackingFile, //
};

use super::{
    polled::PolledTransfers,
    request::{
        Command,
        Pdu,
        Request, //
    },
    Hctx,
    Operations, //
};

/// What every request of a driver has to be a read or write of a file, or nothing.
pub trait FileSlot: Send + Sync + Sized {
    /// Makes it for a request.
    fn init() -> impl PinInit<Self>;
}

/// No file.
pub struct NoFile;

impl FileSlot for NoFile {
    fn init() -> impl PinInit<Self> {
        Self
    }
}

/// Operations of drivers whose requests read and write a file.
pub trait TransferOperations: Operations<File = FileTransfer<Self>> {
    /// Returns the file of a disk.
    fn file<'a>(hctx: Hctx<'a, Self>) -> &'a BackingFile;

    /// Returns where polled transfers of a hardware queue are polled.
    fn polled<'a>(hctx: Hctx<'a, Self>) -> &'a PolledTransfers;

    /// Called when a transfer of [`Request::transfer`] or [`Request::transfer_polled`] is over, with
    /// the number of bytes: there may be less than there are in the request; 0 at the end of the file.
    /// `was_polled` is whether a task has found its end by polling. Any context, a hard interrupt
    /// included; also by the function that has begun the transfer.
    fn transferred(rq: Request<Self>, result: Result<u32>, was_polled: bool);

    /// Called in place of [`transferred`](Self::transferred) when a transfer of
    /// [`Request::transfer_polled`] cannot be carried out without sleeping, or cannot be polled.
    /// [`Request::transfer`] will do it. Any context.
    fn would_sleep(rq: Request<Self>);
}

/// A transfer between the memory of a request and a file.
///
/// # Invariants
///
/// - `self` is part of a [`Pdu<T>`] behind a request of `T`.
/// - From the call of the file's function until `pending` is 0, the kiocb is in use, and `self` owns
///   that request, in the sense of [`Request`].
#[pin_data]
pub struct FileTransfer<T: TransferOperations> {
    #[pin]
    inner: Opaque<bindings::ext_rq_file>,
    /// How many of two are not done with the kiocb: the call of the file's function, and the transfer.
    pending: Atomic<u32>,
    /// The result, as `ki_complete` gets it.
    result: Atomic<isize>,
    _p: PhantomData<fn() -> T>,
}

// SAFETY: A kiocb belongs to no thread.
unsafe impl<T: TransferOperations> Send for FileTransfer<T> {}

// SAFETY: The kiocb is accessed by the owner of the request only.
unsafe impl<T: TransferOperations> Sync for FileTransfer<T> {}

impl<T: TransferOperations> FileSlot for FileTransfer<T> {
    fn init() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- Opaque::uninit(),
            pending: Atomic::new(0),
            result: Atomic::new(0),
            _p: PhantomData,
        })
    }
}

/// What to transfer, from where and how.
///
/// # Invariants
///
/// `file` stays open as long as the request of the plan has not ended, and is open for writing if
/// `write`.
struct Plan {
    file: *mut bindings::file,
    write: bool,
    /// The position in the file.
    pos: i64,
    /// How many bytes of the request are not to be transferred, because they have been.
    done: u32,
    /// How many bytes the request has.
    bytes: u32,
    /// Where the transfer is polled; NULL: nowhere. It stays as long as the request.
    polled_in: *mut bindings::ext_polled,
}

impl Plan {
    /// Returns the end in the file.
    fn end(&self) -> i64 {
        self.pos + i64::from(self.bytes - self.done)
    }

    fn is_polled(&self) -> bool {
        !self.polled_in.is_null()
    }

    /// Returns the flags of the kiocb.
    fn flags(&self, is_fua: bool) -> c_int {
        // SAFETY: By the type invariant.
        // CAST: Bits of an int.
        let mut flags = unsafe { (*self.file).f_iocb_flags } as c_int;
        if self.write {
            flags |= bindings::EXT_IOCB_WRITE;
        }
        if is_fua {
            flags |= bindings::EXT_IOCB_DSYNC;
        }
        if self.is_polled() {
            flags |= bindings::EXT_IOCB_HIPRI | bindings::EXT_IOCB_NOWAIT;
        }
        flags
    }
}

impl<T: TransferOperations> FileTransfer<T> {
    /// Issues the kiocb.
    ///
    /// # Safety
    ///
    /// `this` must own its request, which is passed to `T`, and which `plan` must be one of.
    unsafe fn begin(this: *mut Self, plan: &Plan) {
        // SAFETY: By the safety requirements of this function, nothing else uses the request and its
        // slot. The file has the function.
        unsafe {
            let rq = Pdu::request(Self::pdu(this));
            let inner = Opaque::cast_into(&raw const (*this).inner);
            let iocb = &raw mut (*inner).iocb;
            Self::prepare(inner, rq, plan);
            let regular = bindings::ext_file_is_regular(plan.file);
            // Sleeps while the file system is frozen, unless the transfer is polled.
            if plan.write && regular && !bindings::ext_kiocb_start_write(iocb) {
                return T::would_sleep(Request::from_raw(rq));
            }
            if plan.is_polled() {
                bindings::ext_polled_begin(plan.polled_in);
            }
            let (mut iter, bvecs) = (MaybeUninit::uninit(), &raw mut (*inner).bvecs);
            bindings::ext_rq_describe(rq, plan.done as usize, bvecs, iter.as_mut_ptr());
            (*this).pending.store(2, Relaxed);
            let ret = if plan.is_polled() {
                bindings::ext_call_iter_polled(rq, iocb, iter.as_mut_ptr(), plan.write)
            } else {
                bindings::ext_call_iter(iocb, iter.as_mut_ptr(), plan.write)
            };
            if ret != bindings::EXT_EIOCBQUEUED {
                return Self::finish(this, ret);
            }
            if Self::put(this) {
                let result = (*this).result.load(Relaxed);
                Self::finish(this, result);
            }
        }
    }

    /// Fills the kiocb in.
    ///
    /// # Safety
    ///
    /// As for [`begin`](Self::begin), with the slot and the request.
    unsafe fn prepare(inner: *mut bindings::ext_rq_file, rq: *mut bindings::request, plan: &Plan) {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let is_fua = (*rq).cmd_flags & bindings::EXT_REQ_FUA != 0;
            (*inner).polled = plan.polled_in;
            (*inner).was_polled = false;
            (*inner).iocb = bindings::kiocb {
                ki_filp: plan.file,
                ki_pos: plan.pos,
                ki_complete: Some(Self::complete),
                ki_flags: plan.flags(is_fua),
                ki_ioprio: bindings::ext_rq_ioprio(rq),
                ..pin_init::zeroed()
            };
        }
    }

    /// Ends the transfer.
    ///
    /// # Safety
    ///
    /// `this` must own its request, which is passed to `T`.
    unsafe fn finish(this: *mut Self, result: isize) {
        // SAFETY: By the type invariant, and the request has not ended.
        let rq: Request<T> = unsafe { Request::from_raw(Pdu::request(Self::pdu(this))) };
        // SAFETY: By the safety requirements of this function the kiocb is not in use any more. It
        // was initialized by `begin()`, and its file stays open as long as there is a request.
        let (is_polled, was_polled) = unsafe {
            let inner = Opaque::cast_into(&raw const (*this).inner);
            bindings::kfree((*inner).bvecs.cast());
            if (*inner).iocb.ki_flags & bindings::EXT_IOCB_WRITE != 0
                && bindings::ext_file_is_regular((*inner).iocb.ki_filp)
            {
                bindings::ext_kiocb_end_write(&raw mut (*inner).iocb);
            }
            let polled_in = (*inner).polled;
            if !polled_in.is_null() {
                // It stays until the request ends, which is below.
                bindings::ext_polled_end(polled_in);
            }
            (!polled_in.is_null(), (*inner).was_polled)
        };
        match to_bytes(result) {
            // The device below may have had poll queues when the file was opened. The task that
            // has issued it may have a signal to die, or no memory because of that, and may have
            // issued it for another task.
            Err(EAGAIN | EOPNOTSUPP | EINTR | ENOMEM) if is_polled => T::would_sleep(rq),
            result => T::transferred(rq, result, was_polled),
        }
    }

    /// The `ki_complete` of the kiocb.
    ///
    /// # Safety
    ///
    /// Only the file may call this, once for each call of its function, with the kiocb of a `Self`.
    unsafe extern "C" fn complete(iocb: *mut bindings::kiocb, result: c_long) {
        // SAFETY: By the safety requirements of this function.
        let this = unsafe {
            let inner = container_of!(iocb, bindings::ext_rq_file, iocb);
            let inner: *mut Opaque<bindings::ext_rq_file> = inner.cast();
            container_of!(inner, Self, inner)
        };
        // SAFETY: The memory of a request stays as long as the request has not ended, and so does where
        // it is polled. `self` owns the request if it is the last.
        unsafe {
            (*this).result.store(result, Relaxed);
            let inner = Opaque::cast_into(&raw const (*this).inner);
            if !(*inner).polled.is_null() {
                (*inner).was_polled = bindings::ext_task_polls();
            }
            if Self::put(this) {
                Self::finish(this, result);
            }
        }
    }

    /// Returns whether both of the two are done with the kiocb now.
    ///
    /// # Safety
    ///
    /// `this` must be in use by the caller. It must not access it any more if this returns false.
    unsafe fn put(this: *const Self) -> bool {
        // SAFETY: By the safety requirements of this function. Full order: what was written before
        // is seen by the other one.
        unsafe { (*this).pending.fetch_sub(1, Full) == 1 }
    }

    /// Returns what this is part of.
    fn pdu(this: *mut Self) -> *mut Pdu<T> {
        // SAFETY: By the type invariant it is part of a `Pdu`; this only computes an address there.
        unsafe { container_of!(this, Pdu<T>, file) }
    }
}

impl<T: TransferOperations> Request<T> {
    /// Reads the memory of a read request from the file, or writes that of a write to it, from byte
    /// `done` of the request on, which is at the same position of the file as of the disk. May sleep.
    /// A write with FUA is durable when it has been transferred.
    ///
    /// [`TransferOperations::transferred`] is called when that is over, which may be before this
    /// returns.
    pub fn transfer(self, done: u32, _io: &MayIo) {
        match self.plan(done) {
            // SAFETY: It is one of this request.
            Ok(plan) => unsafe { self.begin(&plan) },
            Err(err) => T::transferred(self, Err(err), false),
        }
    }

    /// Finds out what to transfer from byte `done` on, without polling.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is nothing to transfer, or not in a file; `EROFS` if the file cannot be
    /// written.
    fn plan(&self, done: u32) -> Result<Plan> {
        let write = match self.command() {
            Command::Read => false,
            Command::Write => true,
            _ => return Err(EINVAL),
        };
        let (file, bytes) = (T::file(self.hctx()), self.bytes());
        if done >= bytes {
            return Err(EINVAL);
        }
        if write && !file.is_writable() {
            return Err(EROFS);
        }
        let begin = (self.sector() << SECTOR_SHIFT) + u64::from(done);
        // INVARIANT: Checked above; the queue and its data, with the file, stay until all of its
        // requests have ended, of which this is one.
        Ok(Plan {
            file: file.as_raw(),
            write,
            pos: file.position(begin, u64::from(bytes - done))?,
            done,
            bytes,
            polled_in: null_mut(),
        })
    }

    /// Has a transfer polled, if the next one may be.
    fn have_polled(&self, plan: Plan) -> Option<Plan> {
        // INVARIANT: As for the other open file.
        Some(Plan {
            file: T::file(self.hctx()).polled(plan.write)?,
            polled_in: T::polled(self.hctx()).as_raw(),
            ..plan
        })
    }

    /// Begins a transfer.
    ///
    /// # Safety
    ///
    /// `plan` must be one of this request.
    unsafe fn begin(self, plan: &Plan) {
        let rq = self.into_raw();
        // INVARIANT: The slot owns the request from here on.
        // SAFETY: The `Pdu` of a started request is initialized. The request was owned by the caller,
        // is a read or a write, and has data from `done` on. The plan is one of it.
        unsafe { FileTransfer::begin(&raw mut (*Pdu::<T>::of(rq)).file, plan) };
    }
}

/// Returns the result of a transfer, which has at most as many bytes as a request.
fn to_bytes(result: isize) -> Result<u32> {
    u32::try_from(result).map_err(|_| {
        // CAST: A negative errno.
        Error::from_errno(result as c_int)
    })
}
