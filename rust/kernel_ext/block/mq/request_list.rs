// SPDX-License-Identifier: GPL-2.0

//! Lists of requests.

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    bindings,
    ffi::c_void, //
};

use crate::sync::llist::Node;

use super::{
    ExpiredRequest,
    Operations,
    Request, //
};

/// A queue of requests that the driver keeps for later.
///
/// It is linked by the field that a request has for its owner, so that it takes no memory. Requests
/// that are in the list when it is dropped end with an error.
///
/// # Invariants
///
/// - `self.head` is NULL or the first of a chain of requests of `T`, linked by `rq_next`, the last
///   of which is `self.tail` and has NULL there.
/// - The list owns all of them, in the sense of [`Request`].
pub struct RequestList<T: Operations> {
    head: *mut bindings::request,
    tail: *mut bindings::request,
    _p: PhantomData<Request<T>>,
}

// SAFETY: A list of `Request<T>`, which is `Send`.
unsafe impl<T: Operations> Send for RequestList<T> {}

impl<T: Operations> RequestList<T> {
    /// Creates an empty list.
    pub const fn new() -> Self {
        // INVARIANT: No chain.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            _p: PhantomData,
        }
    }

    /// Returns whether there is no request in the list.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a request.
    pub fn push_tail(&mut self, rq: Request<T>) {
        let rq = rq.into_raw();
        // SAFETY: The request was owned by the caller, so its link is free to use.
        unsafe { set_next(rq, ptr::null_mut()) };
        if self.head.is_null() {
            self.head = rq;
        } else {
            // SAFETY: By the type invariant the list owns its last request.
            unsafe { set_next(self.tail, rq) };
        }
        // INVARIANT: `rq` is linked behind the former last one, has NULL, and the list owns it.
        self.tail = rq;
    }

    /// Takes the first request.
    pub fn pop(&mut self) -> Option<Request<T>> {
        if self.head.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the list owns its first request, which is not NULL.
        Some(unsafe { self.unlink(ptr::null_mut(), self.head) })
    }

    /// Takes `expired`, if it is in the list.
    ///
    /// A request in the list is owned by it, so that nothing else is about to end it. Walks the
    /// list, because for a timeout handler a search is cheaper than a mark in every request.
    pub fn remove(&mut self, expired: &ExpiredRequest<'_, T>) -> Option<Request<T>> {
        let (mut prev, mut rq) = (ptr::null_mut(), self.head);
        while !rq.is_null() {
            if rq == expired.as_raw() {
                // SAFETY: Both are of the chain, in this order.
                return Some(unsafe { self.unlink(prev, rq) });
            }
            prev = rq;
            // SAFETY: By the type invariant.
            rq = unsafe { next(rq) };
        }
        None
    }

    /// # Safety
    ///
    /// `rq` must be in the list, behind `prev`, or first if that is NULL.
    unsafe fn unlink(
        &mut self,
        prev: *mut bindings::request,
        rq: *mut bindings::request,
    ) -> Request<T> {
        // SAFETY: By the type invariant.
        let next = unsafe { next(rq) };
        if prev.is_null() {
            self.head = next;
        } else {
            // SAFETY: By the type invariant.
            unsafe { set_next(prev, next) };
        }
        if next.is_null() {
            self.tail = prev;
        }
        // INVARIANT: The chain leads around `rq`.
        // SAFETY: The list owned `rq`, and does no longer.
        unsafe { Request::from_raw(rq) }
    }
}

impl<T: Operations> Default for RequestList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Operations> Drop for RequestList<T> {
    fn drop(&mut self) {
        while let Some(rq) = self.pop() {
            drop(rq);
        }
    }
}

// SAFETY: The pointer is that of the C request, which `Request` stands for alone. The link belongs to the
// owner of the request, which the list is.
unsafe impl<T: Operations> Node for Request<T> {
    fn into_raw(self) -> NonNull<c_void> {
        // SAFETY: A request is not at NULL.
        unsafe { NonNull::new_unchecked(Self::into_raw(self).cast()) }
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // SAFETY: By the safety requirements of this function, the list gives up the ownership.
        unsafe { Self::from_raw(ptr.cast().as_ptr()) }
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        let rq: *mut bindings::request = ptr.cast().as_ptr();
        // SAFETY: By the safety requirements of this function the request is there.
        unsafe { (&raw mut (*rq).__bindgen_anon_1.rq_next).cast() }
    }
}

/// # Safety
///
/// `rq` must be in a list that the caller has exclusive access to.
pub(super) unsafe fn next(rq: *mut bindings::request) -> *mut bindings::request {
    // SAFETY: By the safety requirements of this function. Lists write the union through this field
    // only.
    unsafe { (*rq).__bindgen_anon_1.rq_next }
}

/// # Safety
///
/// The caller must own `rq`, by itself or by a list that it has exclusive access to.
unsafe fn set_next(rq: *mut bindings::request, next: *mut bindings::request) {
    // SAFETY: By the safety requirements of this function; the link belongs to the owner.
    unsafe { (*rq).__bindgen_anon_1.rq_next = next };
}

/// Appends a request that the driver has not taken to a list of the block layer.
///
/// # Safety
///
/// The caller must own `rq`, and have exclusive access to the list.
#[cold]
pub(super) unsafe fn append(list: *mut bindings::rq_list, rq: *mut bindings::request) {
    // SAFETY: By the safety requirements of this function; a list without a head is empty.
    unsafe {
        set_next(rq, ptr::null_mut());
        if (*list).head.is_null() {
            (*list).head = rq;
        } else {
            set_next((*list).tail, rq);
        }
        (*list).tail = rq;
    }
}
