// SPDX-License-Identifier: GPL-2.0

//! The head of a request: its state, and its first bio.

use core::{
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};

use kernel::{
    current,
    ffi::c_void,
    sync::atomic::{
        ordering,
        Atomic, //
    },
};

use super::{
    ended,
    Bio,
    BioTarget, //
};
use crate::{
    bindings,
    fs::{
        kiocb::PollCookie,
        Kiocb, //
    },
    sync::llist::{
        LockFreeList,
        Node, //
    },
};

/// What lies before the first bio of a request.
pub(super) struct Head<T: BioTarget> {
    /// References: one for the submitter and one for each bio under way.
    refs: Atomic<i32>,
    /// The sleeping issuer, who gets the request back when the last bio has ended; null if the
    /// issuer does not wait.
    waiter: Atomic<*mut bindings::task_struct>,
    /// For lists of requests.
    link: *mut c_void,
    kiocb: Kiocb<T>,
    data: T::Data,
}

impl<T: BioTarget> Head<T> {
    /// The bytes from the start of the head to its bio: what the head takes, rounded up, so that
    /// the bio starts with a cache line.
    pub(super) const PAD: usize = {
        // The slab aligns objects to this much at least.
        assert!(align_of::<Self>() <= 8);
        size_of::<Self>().next_multiple_of(64)
    };

    fn bio(head: NonNull<Self>) -> NonNull<bindings::bio> {
        // SAFETY: The bio lies in the same allocation.
        unsafe { head.byte_add(Self::PAD) }.cast()
    }
}

/// A request that has one owner: nothing of it has been submitted, or everything has ended.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`] before a bio of a set of `T`. Both are exclusively ours.
pub struct HeadBio<T: BioTarget>(NonNull<Head<T>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: BioTarget> Send for HeadBio<T> {}

impl<T: BioTarget> HeadBio<T> {
    /// # Safety
    ///
    /// `bio` must have been allocated from the bio set of the kiocb's target, and be the caller's.
    pub(super) unsafe fn init(bio: NonNull<bindings::bio>, kiocb: Kiocb<T>, data: T::Data) -> Self {
        // SAFETY: Bios of such a set have this much room before them.
        let head = unsafe { bio.byte_sub(Head::<T>::PAD) }.cast::<Head<T>>();
        // SAFETY: The memory is ours and large enough, and aligned as `PAD` asserts.
        unsafe {
            head.write(Head {
                refs: Atomic::new(0),
                waiter: Atomic::new(null_mut()),
                link: null_mut(),
                kiocb,
                data,
            })
        };
        // INVARIANT: It has just been initialized.
        Self(head)
    }

    fn head(&self) -> &Head<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    fn head_mut(&mut self) -> &mut Head<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_mut() }
    }

    /// The first bio. After submission it is only of use for its pages.
    pub fn bio(&mut self) -> &mut Bio {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { Bio::from_raw(Head::bio(self.0)) }
    }

    /// The request.
    pub fn kiocb(&self) -> &Kiocb<T> {
        &self.head().kiocb
    }

    /// The state of the request.
    pub fn data(&self) -> &T::Data {
        &self.head().data
    }

    /// Marks the pages dirty again that were cleaned while the read was under way.
    ///
    /// Takes folio locks, so it sleeps.
    pub fn redirty_pages(&mut self) {
        self.bio().mark_pages_dirty();
    }

    /// Frees the bio, with the pins on its pages, and gives the request back.
    pub fn into_kiocb(mut self) -> Kiocb<T> {
        self.bio().release_pages();
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant; the head is not used after this.
        let Head { kiocb, data, .. } = unsafe { head.read() };
        drop(data);
        // SAFETY: The reference to the bio is ours; its set lives while we hold the kiocb.
        unsafe { bindings::bio_put(Head::bio(head).as_ptr()) };
        kiocb
    }

    /// Adds the request to a list that lives in its file. Returns whether the list was empty.
    ///
    /// Once it is in there, others may complete it, and the file may go.
    pub fn push_to(self, list: impl FnOnce(&T) -> &LockFreeList<Self>) -> bool {
        let list: *const _ = list(self.kiocb().target());
        // SAFETY: The file, and so the list, is there until the request has been completed, which
        // cannot be before it is in the list; afterwards the list is not accessed.
        unsafe { &*list }.push(self)
    }

    /// Makes the request one that several hold: the submitter, by the reference that is returned,
    /// and its bios, beginning with the head's, which is submitted. May sleep.
    pub fn submit(mut self) -> HeadRef<T> {
        let sync = self.kiocb().is_sync();
        let head = self.head_mut();
        if sync {
            *head.waiter.get_mut() = current_task();
        }
        *head.refs.get_mut() = 2;
        let head = ManuallyDrop::new(self).0;
        // INVARIANT: Two references have just been counted.
        let (submitter, bio) = (HeadRef(head), HeadRef(head));
        // SAFETY: The bio was ours, and is filled as far as its owner wanted.
        unsafe { ended::submit(Head::bio(head), bio) };
        submitter
    }
}

fn current_task() -> *mut bindings::task_struct {
    current!().as_ptr()
}

impl<T: BioTarget> Drop for HeadBio<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; `self` is not used after this.
        drop(HeadBio::into_kiocb(HeadBio(self.0)));
    }
}

// SAFETY: The pointer is that of the head, which is unique to it; the link lies in the head, and
// nobody else has access to the request while the list owns it.
unsafe impl<T: BioTarget> Node for HeadBio<T> {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: Per the function's safety requirements.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: Per the function's safety requirements it is a valid head.
        unsafe { &raw mut (*ptr.cast::<Head<T>>().as_ptr()).link }
    }
}

/// What becomes of a request when a completer drops its reference.
pub enum LastRef<T: BioTarget> {
    /// Others hold it still.
    Shared,
    /// It was the last one, and its sleeping issuer has been woken to take it.
    Waiter,
    /// It was the last one: the completer owns the request.
    Completer(HeadBio<T>),
}

/// A reference to a request that is under way.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`], in whose count this reference is included.
pub struct HeadRef<T: BioTarget>(NonNull<Head<T>>);

// SAFETY: What it refers to is `Send` and `Sync`.
unsafe impl<T: BioTarget> Send for HeadRef<T> {}

impl<T: BioTarget> HeadRef<T> {
    fn head(&self) -> &Head<T> {
        // SAFETY: By the type invariant; only atomics of it change.
        unsafe { self.0.as_ref() }
    }

    /// The request.
    pub fn kiocb(&self) -> &Kiocb<T> {
        &self.head().kiocb
    }

    /// The state of the request.
    pub fn data(&self) -> &T::Data {
        &self.head().data
    }

    /// The hardware queue that the head's bio went to, if it can be polled for.
    pub fn poll_cookie(&self) -> Option<PollCookie> {
        let bio = Head::bio(self.0).as_ptr();
        // SAFETY: The bio is freed with the head, which we hold. Atomic, as the block layer may
        // still write to it.
        PollCookie::from_raw(unsafe {
            core::ptr::read_volatile(&raw const (*bio).__bindgen_anon_1.bi_cookie)
        })
    }

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
        // SAFETY: Per the function's safety requirements.
        // INVARIANT: The count that `into_raw` left behind is taken over.
        Self(unsafe { NonNull::new_unchecked(ptr) }.cast())
    }

    /// Drops the count; returns the head if it was the last one.
    fn put(self) -> Option<NonNull<Head<T>>> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant. Full order: what all holders did comes before what the
        // last one does.
        let before = unsafe { head.as_ref() }.refs.fetch_sub(1, ordering::Full);
        (before == 1).then_some(head)
    }

    /// Drops a completer's reference.
    pub fn put_completer(self) -> LastRef<T> {
        let Some(head) = self.put() else {
            return LastRef::Shared;
        };
        // SAFETY: It was the last reference; only a sleeping issuer may look at the head now.
        let waiter = unsafe { &(*head.as_ptr()).waiter };
        if waiter.load(ordering::Relaxed).is_null() {
            // INVARIANT: There was nobody else.
            return LastRef::Completer(HeadBio(head));
        }
        // SAFETY: The issuer sleeps until this is null. Nothing of the head is used afterwards.
        unsafe { bindings::rnull_dio_wake_for_io(waiter.as_ptr()) };
        LastRef::Waiter
    }

    /// Drops the submitter's reference. An issuer that waits gets the request back, once all bios
    /// have ended; any other one only if they have already, and must not touch it otherwise.
    ///
    /// Sleeps if the issuer waits.
    pub fn put_submitter(self) -> Option<HeadBio<T>> {
        let head = self.0;
        let sync = self.kiocb().is_sync();
        // INVARIANT: There was nobody else.
        if let Some(head) = self.put() {
            return Some(HeadBio(head));
        }
        if !sync {
            return None;
        }
        // SAFETY: The last completer leaves the head of a waiting issuer alone, but for `waiter`,
        // so that it is valid.
        unsafe { bindings::rnull_dio_wait_for_io((*head.as_ptr()).waiter.as_ptr()) };
        // INVARIANT: The last completer is gone.
        Some(HeadBio(head))
    }
}

impl<T: BioTarget> Clone for HeadRef<T> {
    fn clone(&self) -> Self {
        self.head().refs.add(1, ordering::Relaxed);
        // INVARIANT: It has just been counted.
        Self(self.0)
    }
}

impl<T: BioTarget> Drop for HeadRef<T> {
    fn drop(&mut self) {
        // The last one drops the request, which its kiocb reports.
        drop(HeadRef(self.0).put_completer());
    }
}
