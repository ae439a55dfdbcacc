// SPDX-License-Identifier: GPL-2.0

//! Requests that are complete.

use core::{
    ffi::c_void,
    ptr::NonNull, //
};

use super::{
    context::{
        ContextData,
        ContextRef, //
    },
    memory::{
        Inner,
        Memory, //
    },
    ring::Event, //
};
use crate::{
    eventfd::EventFd,
    sync::llist::Node, //
};

/// A request that is complete.
pub struct Completed<T: ContextData>(pub(super) Memory<T>);

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: ContextData> Send for Completed<T> {}

impl<T: ContextData> Completed<T> {
    /// Returns the context.
    #[inline]
    pub fn context(&self) -> &ContextRef<T> {
        &self.0.get().context
    }

    /// Returns the result.
    #[inline]
    pub fn event(&self) -> &Event {
        &self.0.get().event
    }

    /// Returns the eventfd that is signalled when user space has the result.
    #[inline]
    pub fn eventfd(&self) -> Option<&EventFd> {
        self.0.get().eventfd.as_ref()
    }
}

// SAFETY: The pointer is that of the memory, which is unique to it and has the link in it.
unsafe impl<T: ContextData> Node for Completed<T> {
    fn into_raw(self) -> NonNull<c_void> {
        self.0.into_raw().cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // SAFETY: By the safety requirements of this function.
        Self(unsafe { Memory::from_raw(ptr.cast()) })
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: By the safety requirements of this function.
        unsafe { &raw mut (*ptr.cast::<Inner<T>>().as_ptr()).link }
    }
}
