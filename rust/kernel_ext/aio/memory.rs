// SPDX-License-Identifier: GPL-2.0

//! The memory of requests.

use core::{
    ffi::c_void,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    fs::File,
    sync::{
        aref::ARef,
        atomic::Atomic, //
    },
};

use super::{
    context::{
        ContextData,
        ContextRef, //
    },
    ring::Event, //
};
use crate::{
    dio::{
        Deferred,
        DeferringKiocb, //
    },
    eventfd::EventFd, //
};

/// What is in the memory of a request.
pub(super) struct Inner<T: ContextData> {
    pub(super) kiocb: DeferringKiocb,
    /// References of an issued request: that of the submitter, whose function may access the kiocb
    /// and the file after the request is complete, and that of the completion.
    pub(super) refs: Atomic<u32>,
    pub(super) link: *mut c_void,
    pub(super) context: ManuallyDrop<ContextRef<T>>,
    /// Until the request is complete.
    pub(super) file: Option<ARef<File>>,
    pub(super) eventfd: Option<EventFd>,
    pub(super) event: Event,
    /// The rest of the completion, of a request that a task has to finish.
    pub(super) rest: Option<Deferred>,
}

/// The memory of a request, with what is in it. It keeps the context.
///
/// # Invariants
///
/// The pointer is an initialized object of the slab cache of its context, which belongs to this object.
pub(super) struct Memory<T: ContextData>(NonNull<Inner<T>>);

impl<T: ContextData> Memory<T> {
    /// Initializes an object.
    ///
    /// # Safety
    ///
    /// `object` must be a new one of the slab cache of `inner.context`.
    // Inlined, so that the object is built where it stays.
    #[inline(always)]
    pub(super) unsafe fn new(object: NonNull<c_void>, inner: Inner<T>) -> Self {
        // SAFETY: The objects of the cache have this layout, by the invariant of `Contexts`.
        unsafe { object.cast().write(inner) };
        // INVARIANT: It has just been initialized.
        Self(object.cast())
    }

    /// Returns the pointer, to which what this owns belongs from now on.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<Inner<T>> {
        ManuallyDrop::new(self).0
    }

    /// # Safety
    ///
    /// `raw` must come from [`into_raw`](Self::into_raw), and belong to the caller, who gives it up.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<Inner<T>>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(raw)
    }

    #[inline]
    pub(super) fn get(&self) -> &Inner<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut Inner<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_mut() }
    }
}

impl<T: ContextData> Drop for Memory<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariant; the object is not used after this. Its context keeps the
        // cache.
        unsafe {
            let context = ManuallyDrop::take(&mut (*inner).context);
            ptr::drop_in_place(inner);
            context.contexts.requests.free(self.0.cast());
        }
    }
}
