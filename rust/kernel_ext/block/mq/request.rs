// SPDX-License-Identifier: GPL-2.0

//! Requests.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::prelude::*;

use crate::{
    bindings,
    block::{
        BlkError,
        BlkResult, //
    }, //
};

use super::{
    segment::{
        Dest,
        Segments,
        Source, //
    },
    transfer::FileSlot,
    Hctx,
    IoCompBatch,
    Operations,
    TimerSlot, //
};

/// The driver data behind a `struct request`.
#[pin_data]
pub(super) struct Pdu<T: Operations> {
    #[pin]
    pub(super) data: T::RequestData,
    #[pin]
    pub(super) timer: T::Timer,
    #[pin]
    pub(super) file: T::File,
}

impl<T: Operations> Pdu<T> {
    /// Returns where the data behind `rq` is. Does not access it.
    #[inline]
    pub(super) fn of(rq: *mut bindings::request) -> *mut Self {
        const {
            assert!(align_of::<Self>() <= align_of::<bindings::request>());
        }
        rq.wrapping_add(1).cast()
    }

    /// Returns the request that `this` lies behind. Does not access it.
    #[inline]
    pub(super) fn request(this: *mut Self) -> *mut bindings::request {
        this.cast::<bindings::request>().wrapping_sub(1)
    }

    /// # Safety
    ///
    /// `this` must point to memory for a `Self`, which must not move if this succeeds.
    pub(super) unsafe fn init_at(this: *mut Self) -> Result {
        let init = try_pin_init!(Self {
            data <- T::new_request_data(),
            timer <- T::Timer::init(),
            file <- T::File::init(),
        });
        // SAFETY: By the safety requirements of this function.
        unsafe { crate::compat::pin_init::raw_try_init(this, init) }
    }
}

/// The operation of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Read sectors.
    Read,
    /// Write sectors.
    Write,
    /// Flush the volatile write cache.
    Flush,
    /// Discard sectors.
    Discard,
    /// Erase sectors so that their data cannot be recovered.
    SecureErase,
    /// Write sectors of zeroes, without data.
    WriteZeroes,
    /// Write sectors at the write pointer of the zone that begins with the sector of the request.
    ZoneAppend,
    /// Open a zone.
    ZoneOpen,
    /// Close a zone.
    ZoneClose,
    /// Make a zone full.
    ZoneFinish,
    /// Make a zone empty.
    ZoneReset,
    /// Make all zones empty.
    ZoneResetAll,
    /// Anything else, by its number in `enum req_op`.
    Other(u32),
}

impl Command {
    /// Returns the operation of a request with these `cmd_flags`.
    #[inline]
    pub(super) fn of(flags: u32) -> Self {
        match flags & bindings::EXT_REQ_OP_MASK {
            bindings::req_op_REQ_OP_READ => Self::Read,
            bindings::req_op_REQ_OP_WRITE => Self::Write,
            bindings::req_op_REQ_OP_FLUSH => Self::Flush,
            bindings::req_op_REQ_OP_DISCARD => Self::Discard,
            bindings::req_op_REQ_OP_SECURE_ERASE => Self::SecureErase,
            bindings::req_op_REQ_OP_WRITE_ZEROES => Self::WriteZeroes,
            bindings::req_op_REQ_OP_ZONE_APPEND => Self::ZoneAppend,
            bindings::req_op_REQ_OP_ZONE_OPEN => Self::ZoneOpen,
            bindings::req_op_REQ_OP_ZONE_CLOSE => Self::ZoneClose,
            bindings::req_op_REQ_OP_ZONE_FINISH => Self::ZoneFinish,
            bindings::req_op_REQ_OP_ZONE_RESET => Self::ZoneReset,
            bindings::req_op_REQ_OP_ZONE_RESET_ALL => Self::ZoneResetAll,
            other => Self::Other(other),
        }
    }
}

/// A request that the driver owns.
///
/// Dropping it ends the request with an error.
///
/// # Invariants
///
/// `self.0` is a request of `T`, initialized by `init_request`, started, and owned by `self`: the
/// block layer and others only look at it, as the timeout handler does.
pub struct Request<T: Operations>(NonNull<bindings::request>, PhantomData<fn(T) -> T>);

// SAFETY: A request may be ended by any thread, and the driver's data in it are `Send`.
unsafe impl<T: Operations> Send for Request<T> {}

// SAFETY: `&self` methods only read what does not change while the driver owns the request. The
// driver's data in it are `Sync`.
unsafe impl<T: Operations> Sync for Request<T> {}

impl<T: Operations> Request<T> {
    /// # Safety
    ///
    /// The type invariant must hold for `rq`, the ownership of which is passed.
    #[inline]
    pub(super) unsafe fn from_raw(rq: *mut bindings::request) -> Self {
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: A request is not at NULL.
        Self(unsafe { NonNull::new_unchecked(rq) }, PhantomData)
    }

    /// Gives up the ownership without ending the request.
    #[inline]
    pub(super) fn into_raw(self) -> *mut bindings::request {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// Returns the C request, which stays this object's.
    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::request {
        self.0.as_ptr()
    }

    /// Returns the operation.
    #[inline]
    pub fn command(&self) -> Command {
        Command::of(self.flags())
    }

    /// Returns whether the data must be durable when the request ends.
    #[inline]
    pub fn is_fua(&self) -> bool {
        self.flags() & bindings::EXT_REQ_FUA != 0
    }

    /// Returns whether a write of zeroes must keep the space that it writes to allocated.
    #[inline]
    pub fn must_keep_space(&self) -> bool {
        self.flags() & bindings::EXT_REQ_NOUNMAP != 0
    }

    /// Returns whether the issuer polls for the request.
    ///
    /// On a queue for polled I/O this may be false: a flush that the block layer has put before or
    /// behind a polled write is not polled.
    #[inline]
    pub fn is_polled(&self) -> bool {
        self.flags() & bindings::EXT_REQ_POLLED != 0
    }

    /// Returns the first sector, in units of 512 bytes. Means nothing for a flush.
    #[inline]
    pub fn sector(&self) -> u64 {
        // SAFETY: By the type invariant; constant while the driver owns the request.
        unsafe { (*self.0.as_ptr()).__sector }
    }

    /// Sets the sector that a zone append has written to, which the block layer reports to its issuer.
    #[inline]
    pub fn set_sector(&mut self, sector: u64) {
        // SAFETY: By the type invariant; `&mut self` excludes other readers.
        unsafe { (*self.0.as_ptr()).__sector = sector };
    }

    /// Returns the length in bytes.
    #[inline]
    pub fn bytes(&self) -> u32 {
        // SAFETY: By the type invariant; constant while the driver owns the request.
        unsafe { (*self.0.as_ptr()).__data_len }
    }

    /// Returns the driver's data in the request.
    #[inline]
    pub fn data(&self) -> Pin<&T::RequestData> {
        // SAFETY: By the type invariant the data are initialized. They are not dropped before the
        // request ends, which takes `self`, and never move.
        unsafe { Pin::new_unchecked(&(*Pdu::<T>::of(self.0.as_ptr())).data) }
    }

    /// Returns the hardware queue of the request.
    #[inline]
    pub fn hctx(&self) -> Hctx<'_, T> {
        // SAFETY: The queue cannot be frozen, hence not go away, while it has a started request.
        unsafe { Hctx::from_raw((*self.0.as_ptr()).mq_hctx) }
    }

    /// Iterates over the memory that the data of a write or a zone append come from. Nothing for any
    /// other operation.
    #[inline]
    pub fn source(&self) -> Segments<'_, Source> {
        let has_data = matches!(self.command(), Command::Write | Command::ZoneAppend);
        // SAFETY: The bios belong to the request and live as long. Those of a write have data,
        // which the issuer keeps until the request ends.
        unsafe { Segments::new(self.bio_if(has_data)) }
    }

    /// Iterates over the memory that the data of a read go to. Nothing for any other operation.
    #[inline]
    pub fn dest(&self) -> Segments<'_, Dest> {
        // SAFETY: As in `source()`. The memory of a read may be written to.
        unsafe { Segments::new(self.bio_if(self.command() == Command::Read)) }
    }

    /// Ends the request.
    #[inline]
    pub fn end(self, result: BlkResult) {
        // SAFETY: By the type invariant `self` owns the request, and gives it up.
        unsafe { bindings::blk_mq_end_request(self.into_raw(), BlkError::into_raw(result)) };
    }

    /// Ends the request as one that is not supported, which is not logged.
    pub fn end_not_supported(self) {
        // SAFETY: By the type invariant `self` owns the request, and gives it up.
        unsafe { bindings::ext_rq_end_not_supported(self.into_raw()) };
    }

    /// Has the block layer issue no more discards, or writes of zeroes without data, if the request is
    /// one, because the device turns out not to support them. Any context. Some may still come.
    pub fn disable_command(&self) {
        // SAFETY: By the type invariant; the queue lives at least as long as the request.
        unsafe { bindings::ext_rq_disable_command(self.0.as_ptr()) };
    }

    /// Ends the request, with others of a batch if possible.
    #[inline]
    pub fn end_batched(self, batch: &mut IoCompBatch<'_>, result: BlkResult) {
        let rq = self.0.as_ptr();
        // SAFETY: By the type invariants `self` owns the request, and nothing else uses the batch.
        // A request that is added ends with the batch.
        let added = unsafe {
            bindings::ext_blk_mq_add_to_batch(
                rq,
                batch.as_raw(),
                result.is_err(),
                Some(bindings::blk_mq_end_request_batch),
            )
        };
        if added {
            self.into_raw();
        } else {
            self.end(result);
        }
    }

    /// Passes the request to [`Operations::complete`], which is called at once, or in a soft
    /// interrupt on the CPU that issued the request.
    #[inline]
    pub fn complete(self) {
        let rq = self.into_raw();
        // SAFETY: By the type invariant. The ownership passes to `OperationsVTable::complete`,
        // unless this returns false.
        if !unsafe { bindings::blk_mq_complete_request_remote(rq) } {
            // SAFETY: The ownership has not passed.
            T::complete(unsafe { Self::from_raw(rq) });
        }
    }

    /// Returns whether fault injection makes this request time out; false without
    /// `CONFIG_FAIL_IO_TIMEOUT`.
    #[inline]
    pub fn should_fake_timeout(&self) -> bool {
        cfg!(CONFIG_FAIL_IO_TIMEOUT)
            // SAFETY: The queue lives at least as long as the request.
            && unsafe { bindings::ext_blk_should_fake_timeout((*self.0.as_ptr()).q) }
    }

    #[inline]
    fn flags(&self) -> u32 {
        // SAFETY: By the type invariant; constant while the driver owns the request.
        unsafe { (*self.0.as_ptr()).cmd_flags }
    }

    #[inline]
    fn bio_if(&self, condition: bool) -> *const bindings::bio {
        if condition {
            // SAFETY: By the type invariant; constant while the driver owns the request.
            unsafe { (*self.0.as_ptr()).bio }
        } else {
            core::ptr::null()
        }
    }
}

impl<T: Operations> Drop for Request<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant `self` owns the request.
        unsafe {
            bindings::blk_mq_end_request(self.0.as_ptr(), BlkError::into_raw(Err(BlkError::IOERR)))
        };
    }
}

/// A request that was started long ago and not ended when the timeout handler looked.
///
/// The driver may still own it, in a list or a timer, or be about to end it on another CPU.
///
/// # Invariants
///
/// `self.0` is a request of `T`, initialized by `init_request`, whose memory is not used for
/// another request for `'a`, on a live queue.
pub struct ExpiredRequest<'a, T: Operations>(NonNull<bindings::request>, PhantomData<&'a T>);

impl<'a, T: Operations> ExpiredRequest<'a, T> {
    /// # Safety
    ///
    /// The type invariant must hold for `rq` for `'a`.
    pub(super) unsafe fn from_raw(rq: *mut bindings::request) -> Self {
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: A request is not at NULL.
        Self(unsafe { NonNull::new_unchecked(rq) }, PhantomData)
    }

    pub(super) fn as_raw(&self) -> *mut bindings::request {
        self.0.as_ptr()
    }

    /// Returns the driver's data in the request.
    pub fn data(&self) -> Pin<&'a T::RequestData> {
        // SAFETY: By the type invariant the data are initialized and not dropped. They never move.
        unsafe { Pin::new_unchecked(&(*Pdu::<T>::of(self.as_raw())).data) }
    }

    /// Returns the hardware queue of the request.
    pub fn hctx(&self) -> Hctx<'a, T> {
        // SAFETY: By the type invariant the queue is live. The field is set before the request is
        // started, and not changed before it is used anew.
        unsafe { Hctx::from_raw((*self.as_raw()).mq_hctx) }
    }
}
