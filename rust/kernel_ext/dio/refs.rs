// SPDX-License-Identifier: GPL-2.0

//! References to a request in flight: the submitter's, and one for each bio.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    current,
    ffi::c_void,
    sync::atomic::ordering, //
};

use super::{
    ended::EndedDio,
    head::{
        DioTarget,
        Head, //
    },
    kiocb::DioKiocb, //
};
use crate::{
    bindings,
    context::MaySleep, //
};

/// The owner of a request after the drop of a bio's reference to it.
///
/// # Examples
///
/// ```
/// use kernel_ext::dio::{DioTarget, EndedBio, LastRef};
///
/// /// Completes a request with its last bio, unless its issuer sleeps for it.
/// fn end<T: DioTarget>(bio: EndedBio<T>, bytes: usize) {
///     if let LastRef::Completer(dio) = bio.finish() {
///         dio.into_kiocb().complete(Ok(bytes));
///     }
/// }
/// ```
pub enum LastRef<T: DioTarget> {
    /// The owners of other references.
    Shared,
    /// The sleeping issuer. The reference was the last one, and the issuer has been woken.
    Waiter,
    /// The completer. The reference was the last one.
    Completer(EndedDio<T>),
}

/// A bio's reference to a request in flight.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`], in whose count this reference is included.
pub struct DioRef<T: DioTarget>(NonNull<Head<T>>);

// SAFETY: What it refers to is `Send` and `Sync`.
unsafe impl<T: DioTarget> Send for DioRef<T> {}

impl<T: DioTarget> DioRef<T> {
    #[inline]
    fn head(&self) -> &Head<T> {
        // SAFETY: By the type invariant. Only atomics of the head change.
        unsafe { self.0.as_ref() }
    }

    /// Returns the request.
    #[inline]
    pub fn kiocb(&self) -> &DioKiocb<T> {
        &self.head().kiocb
    }

    /// Returns the state of the request.
    #[inline]
    pub fn state(&self) -> &T::State {
        &self.head().state
    }

    #[inline]
    pub(super) fn is_bio(&self, bio: NonNull<bindings::bio>) -> bool {
        Head::bio(self.0) == bio
    }

    pub(super) fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// # Safety
    ///
    /// `ptr` must come from [`into_raw`](Self::into_raw), once.
    pub(super) unsafe fn from_raw(ptr: *mut c_void) -> Self {
        // INVARIANT: The count that `into_raw` has left is taken over.
        // SAFETY: By the safety requirements of this function.
        Self(unsafe { NonNull::new_unchecked(ptr) }.cast())
    }

    /// Drops the count. Returns the head if it was the last one.
    #[inline]
    fn put(self) -> Option<NonNull<Head<T>>> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant.
        let refs = unsafe { &(*head.as_ptr()).refs };
        // What all owners of references did comes before what the last one does. The owner of the
        // only reference need not decrement, because others are made from that one alone.
        let last = refs.load(ordering::Acquire) == 1 || refs.fetch_sub(1, ordering::Full) == 1;
        last.then_some(head)
    }

    /// Drops a bio's reference.
    #[inline]
    pub fn put_completer(self) -> LastRef<T> {
        let Some(head) = self.put() else {
            return LastRef::Shared;
        };
        // SAFETY: It was the last reference; only a sleeping issuer may access the head now.
        let waiter = unsafe { &(*head.as_ptr()).waiter };
        if waiter.load(ordering::Relaxed).is_null() {
            // SAFETY: There is no other reference.
            return LastRef::Completer(unsafe { EndedDio::from_head(head) });
        }
        // SAFETY: The issuer sleeps until this is null. The head is not accessed afterwards.
        unsafe { bindings::ext_wake_for_io(waiter.as_ptr()) };
        LastRef::Waiter
    }
}

impl<T: DioTarget> Drop for DioRef<T> {
    fn drop(&mut self) {
        // The last one drops the request, which its kiocb reports.
        drop(DioRef(self.0).put_completer());
    }
}

/// The submitter's reference to a request in flight. There is one, and it stays with the task that
/// submits.
#[must_use = "the submitter has to finish the request"]
pub struct SubmitRef<T: DioTarget>(ManuallyDrop<DioRef<T>>, PhantomData<*mut ()>);

impl<T: DioTarget> SubmitRef<T> {
    /// Makes references for the submitter and for the first bio.
    ///
    /// # Safety
    ///
    /// `head` must be initialized, and exclusively the caller's, who gives it up.
    #[inline]
    pub(super) unsafe fn first(mut head: NonNull<Head<T>>) -> (Self, DioRef<T>) {
        // SAFETY: By the safety requirements of this function.
        *unsafe { head.as_mut() }.refs.get_mut() = 2;
        // INVARIANT: Both are counted.
        (
            Self(ManuallyDrop::new(DioRef(head)), PhantomData),
            DioRef(head),
        )
    }

    /// Returns the request.
    #[inline]
    pub fn kiocb(&self) -> &DioKiocb<T> {
        self.0.kiocb()
    }

    /// Returns the state of the request.
    #[inline]
    pub fn state(&self) -> &T::State {
        self.0.state()
    }

    /// Makes a reference for another bio.
    pub(super) fn share(&self) -> DioRef<T> {
        self.0.head().refs.add(1, ordering::Relaxed);
        // INVARIANT: It has just been counted.
        DioRef(self.0 .0)
    }

    /// Drops the reference. If the issuer sleeps for the request, waits until all bios have ended
    /// and returns the request. Otherwise returns the request if all bios have ended already; if
    /// they have not, the caller must not access it any more.
    #[inline]
    pub fn finish(self) -> Option<EndedDio<T>> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after this.
        unsafe { Self::put(this.0 .0) }
    }

    /// As [`finish`](Self::finish), and waits for an asynchronous request, too. Sleeps.
    pub fn finish_and_wait(self, _ctx: &MaySleep) -> EndedDio<T> {
        let head = ManuallyDrop::new(self).0 .0;
        // SAFETY: The submitter's reference keeps the head.
        let waiter = unsafe { &(*head.as_ptr()).waiter };
        // The last completer sees it, because it drops its reference after this one is dropped.
        waiter.store(current!().as_ptr(), ordering::Relaxed);
        // INVARIANT: The reference is taken over; `self` is not used after this.
        if let Some(head) = DioRef(head).put() {
            // SAFETY: There was no other reference.
            return unsafe { EndedDio::from_head(head) };
        }
        // SAFETY: The last completer accesses nothing but `waiter` of the head of a sleeping
        // issuer, and there is one submitter only, so the head is valid.
        unsafe { bindings::ext_wait_for_io(waiter.as_ptr()) };
        // SAFETY: The last completer has given the head up.
        unsafe { EndedDio::from_head(head) }
    }

    /// # Safety
    ///
    /// `head` must be that of a submitter's reference, which is given up.
    // Hot path: the call would cost as much as the body.
    #[inline(always)]
    unsafe fn put(head: NonNull<Head<T>>) -> Option<EndedDio<T>> {
        // INVARIANT: By the safety requirements of this function.
        let submitter = DioRef(head);
        let sync = submitter.kiocb().is_sync();
        if let Some(head) = submitter.put() {
            // SAFETY: There was no other reference.
            return Some(unsafe { EndedDio::from_head(head) });
        }
        if !sync {
            return None;
        }
        // SAFETY: The last completer accesses nothing but `waiter` of the head of a sleeping
        // issuer, and there is one submitter only, so the head is valid.
        unsafe { bindings::ext_wait_for_io((*head.as_ptr()).waiter.as_ptr()) };
        // SAFETY: The last completer has given the head up.
        Some(unsafe { EndedDio::from_head(head) })
    }
}

impl<T: DioTarget> Drop for SubmitRef<T> {
    fn drop(&mut self) {
        // The kiocb reports that it was dropped.
        // SAFETY: The reference is ours; the field is not dropped on top of this.
        drop(unsafe { Self::put(self.0 .0) });
    }
}
