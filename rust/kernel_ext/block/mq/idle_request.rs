// SPDX-License-Identifier: GPL-2.0

//! Requests that have not been started.
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
    block::BlkError, //
};

use super::{
    request::Pdu,
    Command,
    Operations,
    Request, //
};

/// A request that the driver was handed and has not started.
///
/// The lifetime stands for one call of [`Operations::queue_rq`]: it ties what that returns to the
/// request that it was given, and keeps the request from leaving it.
///
/// # Invariants
///
/// - `self.0` is a request of `T`, initialized by `init_request`, owned by `self`, and not started.
/// - `'a` is used for no other request.
pub struct IdleRequest<'a, T: Operations>(
    NonNull<bindings::request>,
    // Invariant in `'a`, so that no other lifetime can be made to fit.
    PhantomData<fn(&'a T) -> &'a T>,
);

impl<'a, T: Operations> IdleRequest<'a, T> {
    /// # Safety
    ///
    /// The type invariants must hold for `rq`, the ownership of which is passed.
    #[inline]
    pub(super) unsafe fn from_raw(rq: *mut bindings::request) -> Self {
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: A request is not at NULL.
        Self(unsafe { NonNull::new_unchecked(rq) }, PhantomData)
    }

    /// Starts the request, and with it the timeout of the block layer.
    #[inline]
    pub fn start(self) -> Request<T> {
        let rq = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant.
        unsafe { bindings::blk_mq_start_request(rq.as_ptr()) };
        // SAFETY: Owned by the type invariant of `IdleRequest`, and started now.
        unsafe { Request::from_raw(rq.as_ptr()) }
    }

    /// Returns how many bytes a read, write or zone append transfers; 0 for any other operation.
    #[inline]
    pub fn transferred_bytes(&self) -> u32 {
        // SAFETY: By the type invariant; constant while the driver owns the request.
        let (flags, bytes) =
            unsafe { ((*self.0.as_ptr()).cmd_flags, (*self.0.as_ptr()).__data_len) };
        match Command::of(flags) {
            Command::Read | Command::Write | Command::ZoneAppend => bytes,
            _ => 0,
        }
    }

    /// Returns the driver's data in the request.
    #[inline]
    pub fn data(&self) -> Pin<&T::RequestData> {
        // SAFETY: By the type invariant the data are initialized. They are not dropped before the
        // request ends, which takes `self`, and never move.
        unsafe { Pin::new_unchecked(&(*Pdu::<T>::of(self.0.as_ptr())).data) }
    }

    /// Returns the request to the block layer because of a lack of resources.
    ///
    /// The block layer tries again after a short time or, if `in_flight` is set, when another
    /// request of this driver ends.
    pub fn busy(self, in_flight: bool) -> Rejected<'a, T> {
        self.fail(if in_flight {
            BlkError::DEV_RESOURCE
        } else {
            BlkError::RESOURCE
        })
    }

    /// Returns the request to the block layer, which adds it to the requests to be queued again, and has
    /// that done soon.
    pub fn requeue(self) {
        let rq = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant `self` owns the request, and gives it up. The queue that it is
        // of stays until the call of `queue_rq` that this is part of is over.
        unsafe { bindings::blk_mq_requeue_request(rq.as_ptr(), true) };
    }

    /// Returns the request to the block layer, which ends it with `error`, or tries again later if
    /// that is [`BlkError::RESOURCE`] or [`BlkError::DEV_RESOURCE`].
    pub fn fail(self, error: BlkError) -> Rejected<'a, T> {
        Rejected { rq: self, error }
    }
}

impl<T: Operations> Drop for IdleRequest<'_, T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant `self` owns the request; requests that were not started may
        // be ended as well.
        unsafe {
            bindings::blk_mq_end_request(self.0.as_ptr(), BlkError::into_raw(Err(BlkError::IOERR)))
        };
    }
}

/// A request that [`Operations::queue_rq`] returns to the block layer.
#[must_use = "a rejected request must be returned from queue_rq()"]
pub struct Rejected<'a, T: Operations> {
    rq: IdleRequest<'a, T>,
    error: BlkError,
}

impl<T: Operations> Rejected<'_, T> {
    /// Passes the request to the block layer, which must get the returned error from `queue_rq`.
    pub(super) fn into_error(self) -> BlkError {
        let _ = ManuallyDrop::new(self.rq);
        self.error
    }
}
