// SPDX-License-Identifier: GPL-2.0

//! Requests that read and write files.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/uio.h`](srctree/include/linux/uio.h)

use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
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
    context::MayIo,
    fs::backing_file::BackingFile, //
};

use super::{
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

    /// Called when a transfer of [`Request::transfer`] is over, with the number of bytes: there may
    /// be less than there are in the request; 0 at the end of the file. Any context, a hard interrupt
    /// included; also by [`Request::transfer`] itself.
    fn transferred(rq: Request<Self>, result: Result<u32>);
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

impl<T: TransferOperations> FileTransfer<T> {
    /// Issues the kiocb.
    ///
    /// # Safety
    ///
    /// `this` must own its request, which is passed to `T`. That must be a write if `write`, otherwise
    /// a read, with more than `done` bytes. The file must stay open until it ends, and be open for
    /// writing if `write`.
    unsafe fn begin(this: *mut Self, file: &BackingFile, write: bool, pos: i64, done: u32) {
        let rq = Pdu::request(Self::pdu(this));
        // SAFETY: By the safety requirements of this function, nothing else uses the request and its
        // slot. The file has the function.
        unsafe {
            let inner = Opaque::cast_into(&raw const (*this).inner);
            let iocb = &raw mut (*inner).iocb;
            let is_fua = (*rq).cmd_flags & bindings::EXT_REQ_FUA != 0;
            *iocb = bindings::kiocb {
                ki_filp: file.as_raw(),
                ki_pos: pos,
                ki_complete: Some(Self::complete),
                ki_flags: flags(file, write, is_fua),
                ki_ioprio: bindings::ext_rq_ioprio(rq),
                ..pin_init::zeroed()
            };
            let mut iter = MaybeUninit::uninit();
            bindings::ext_rq_describe(
                rq,
                done as usize,
                &raw mut (*inner).bvecs,
                iter.as_mut_ptr(),
            );
            if write && bindings::ext_file_is_regular(file.as_raw()) {
                // Sleeps while the file system is frozen.
                bindings::ext_kiocb_start_write(iocb);
            }
            (*this).pending.store(2, Relaxed);
            let ret = bindings::ext_call_iter(iocb, iter.as_mut_ptr(), write);
            if ret != bindings::EXT_EIOCBQUEUED {
                Self::finish(this, ret);
            } else if Self::put(this) {
                let result = (*this).result.load(Relaxed);
                Self::finish(this, result);
            }
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
        unsafe {
            let inner = Opaque::cast_into(&raw const (*this).inner);
            bindings::kfree((*inner).bvecs.cast());
            if (*inner).iocb.ki_flags & bindings::EXT_IOCB_WRITE != 0
                && bindings::ext_file_is_regular((*inner).iocb.ki_filp)
            {
                bindings::ext_kiocb_end_write(&raw mut (*inner).iocb);
            }
        }
        T::transferred(rq, to_bytes(result));
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
        // SAFETY: The memory of a request stays as long as the request has not ended.
        unsafe { (*this).result.store(result, Relaxed) };
        // SAFETY: As above, and `self` owns the request if it is the last.
        unsafe {
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
        let write = match self.command() {
            Command::Read => false,
            Command::Write => true,
            _ => return T::transferred(self, Err(EINVAL)),
        };
        // SAFETY: The queue and its data stay until all of its requests have ended, of which this is one.
        let file = T::file(unsafe { Hctx::from_raw(self.hctx().as_raw()) });
        if done >= self.bytes() {
            return T::transferred(self, Err(EINVAL));
        }
        if write && !file.is_writable() {
            return T::transferred(self, Err(EROFS));
        }
        let begin = (self.sector() << SECTOR_SHIFT) + u64::from(done);
        let pos = match file.position(begin, u64::from(self.bytes() - done)) {
            Ok(pos) => pos,
            Err(err) => return T::transferred(self, Err(err)),
        };
        let rq = self.into_raw();
        // INVARIANT: The slot owns the request from here on.
        // SAFETY: The `Pdu` of a started request is initialized. The request was owned by the caller,
        // is a read or a write, and has data from `done` on.
        unsafe { FileTransfer::begin(&raw mut (*Pdu::<T>::of(rq)).file, file, write, pos, done) };
    }
}

/// Returns the flags of a kiocb.
fn flags(file: &BackingFile, write: bool, is_fua: bool) -> c_int {
    // SAFETY: The file is open as long as the reference.
    // CAST: Bits of an int.
    let mut flags = unsafe { (*file.as_raw()).f_iocb_flags } as c_int;
    if write {
        flags |= bindings::EXT_IOCB_WRITE;
    }
    if is_fua {
        flags |= bindings::EXT_IOCB_DSYNC;
    }
    flags
}

/// Returns the result of a transfer, which has at most as many bytes as a request.
fn to_bytes(result: isize) -> Result<u32> {
    u32::try_from(result).map_err(|_| {
        // CAST: A negative errno.
        Error::from_errno(result as c_int)
    })
}
