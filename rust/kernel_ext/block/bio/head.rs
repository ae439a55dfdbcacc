// SPDX-License-Identifier: GPL-2.0

//! The head of a request: its state, and its first bio.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};

use kernel::{
    container_of, current,
    ffi::c_void,
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
};

use super::{
    ended,
    BioMut,
    BioTarget, //
};
use crate::{
    bindings,
    context::Task,
    fs::{
        deferring::{
            self,
            Deferred, //
        },
        issuer::Issuer,
        Kiocb, //
    },
    sync::llist::{
        LockFreeList,
        Node, //
    },
    task_work::Mail, //
};

/// What lies before the first bio of a request.
pub(super) struct Head<T: BioTarget> {
    /// References: one for the submitter and one for each bio under way.
    refs: Atomic<i32>,
    /// The sleeping issuer, who gets the request back when the last bio has ended; null if the
    /// issuer does not wait.
    waiter: Atomic<*mut bindings::task_struct>,
    issuer: Issuer,
    /// Has the kiocb been told of the bio?
    is_polled: bool,
    /// For lists of requests, and for issuers of the kernel's that defer.
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

/// Drops the parts of a head, frees its bio with the pins on its pages, and gives the request back.
///
/// # Safety
///
/// Head and bio must be exclusively the caller's, and given up.
unsafe fn take_apart<T: BioTarget>(head: NonNull<Head<T>>) -> Kiocb<T> {
    let bio = Head::bio(head);
    // SAFETY: Per the function's safety requirements.
    unsafe { BioMut::from_raw(bio) }.release_pages();
    // SAFETY: As above; the head is not used after this.
    let Head {
        mut kiocb,
        data,
        is_polled,
        ..
    } = unsafe { head.read() };
    drop(data);
    if is_polled {
        kiocb.forget_polled_bio();
    }
    // SAFETY: As above, and nobody polls for it any more. The set lives while we hold the kiocb.
    unsafe { bindings::bio_put(bio.as_ptr()) };
    kiocb
}

/// A request of which nothing has been submitted.
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
        let issuer = kiocb.issuer();
        // SAFETY: The memory is ours and large enough, and aligned as `PAD` asserts.
        unsafe {
            head.write(Head {
                refs: Atomic::new(0),
                waiter: Atomic::new(null_mut()),
                issuer,
                is_polled: false,
                link: null_mut(),
                kiocb,
                data,
            })
        };
        // INVARIANT: It has just been initialized.
        let mut this = Self(head);
        // SAFETY: By the type invariant.
        this.bio().set_hints(unsafe { &head.as_ref().kiocb });
        this
    }

    fn head_mut(&mut self) -> &mut Head<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_mut() }
    }

    /// The first bio, to be filled.
    pub fn bio(&mut self) -> BioMut<'_> {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { BioMut::from_raw(Head::bio(self.0)) }
    }

    /// The request.
    pub fn kiocb(&self) -> &Kiocb<T> {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().kiocb }
    }

    /// The state of the request.
    pub fn data(&self) -> &T::Data {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().data }
    }

    /// Lets the issuer poll for the end of the bio, in place of an interrupt.
    pub fn set_polled(&mut self) {
        let bio = Head::bio(self.0);
        // SAFETY: By the type invariant the bio is ours. It is freed in `take_apart` only, which
        // has the kiocb forget it before that.
        unsafe {
            (*bio.as_ptr()).bi_opf |= bindings::EXT_REQ_POLLED;
            self.head_mut().is_polled = true;
            self.head_mut().kiocb.set_polled_bio(bio);
        }
    }

    /// Frees the bio, with the pins on its pages, and gives the request back.
    pub fn into_kiocb(self) -> Kiocb<T> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant they are ours.
        unsafe { take_apart(head) }
    }

    /// Submits the head's bio. From here on several hold the request: the submitter, by the
    /// reference that is returned, and its bios. May sleep.
    pub fn submit(mut self) -> SubmitterRef<T> {
        let sync = self.kiocb().is_sync();
        let head = self.head_mut();
        if sync {
            *head.waiter.get_mut() = current!().as_ptr();
        }
        *head.refs.get_mut() = 2;
        let head = ManuallyDrop::new(self).0;
        // INVARIANT: Two references have just been counted.
        let (submitter, bio) = (
            SubmitterRef(ManuallyDrop::new(HeadRef(head)), PhantomData),
            HeadRef(head),
        );
        // SAFETY: The bio was ours, and is filled as far as its owner wanted.
        unsafe { ended::submit(Head::bio(head), bio) };
        submitter
    }
}

impl<T: BioTarget> Drop for HeadBio<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant they are ours; `self` is not used after this.
        drop(unsafe { take_apart(self.0) });
    }
}

/// A request of which everything has ended.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`] before a bio of a set of `T`, which has ended. Both are
/// exclusively ours.
pub struct EndedHead<T: BioTarget>(NonNull<Head<T>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: BioTarget> Send for EndedHead<T> {}

impl<T: BioTarget> EndedHead<T> {
    /// The request.
    pub fn kiocb(&self) -> &Kiocb<T> {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().kiocb }
    }

    /// Drops the request's count of its inode's `i_dio_count`. Any context.
    pub fn end_dio(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { &mut self.0.as_mut().kiocb }.end_dio();
    }

    /// The state of the request.
    pub fn data(&self) -> &T::Data {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().data }
    }

    /// The state of the request, which is not shared any more.
    #[inline]
    pub fn data_mut(&mut self) -> &mut T::Data {
        // SAFETY: By the type invariant.
        unsafe { &mut self.0.as_mut().data }
    }

    /// Did the head's bio end as one that is polled for? The block layer may have made it an
    /// ordinary one on its way.
    pub fn was_polled(&self) -> bool {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { (*Head::bio(self.0).as_ptr()).bi_opf & bindings::EXT_REQ_POLLED != 0 }
    }

    /// Marks the pages dirty again that were cleaned while the read was under way.
    ///
    /// Takes folio locks, so it sleeps.
    pub fn redirty_pages(&mut self, task: &Task) {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { BioMut::from_raw(Head::bio(self.0)) }.mark_pages_dirty(task);
    }

    /// Does the issuer finish requests itself, in a task?
    pub fn issuer_defers(&self) -> bool {
        self.issuer() != Issuer::Plain
    }

    /// Does the issuer do so by `kiocb->dio_complete`?
    pub fn issuer_is_native(&self) -> bool {
        self.issuer() == Issuer::Native
    }

    fn issuer(&self) -> Issuer {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref().issuer }
    }

    /// Lets the issuer finish the request, by [`BioTarget::finish`]. Any context.
    ///
    /// Nothing is held from here on that the issuer's task could wait for in another place: the
    /// caller has seen to `i_dio_count`, and this sees to the write count of the super block.
    ///
    /// # Errors
    ///
    /// Gives the request back, with
    ///
    /// - `EOPNOTSUPP`: the issuer does not do that.
    /// - what [`Mailboxes::post`](crate::task_work::Mailboxes::post) returns.
    pub fn hand_over(mut self) -> Result<(), (Self, Error)> {
        match self.issuer() {
            Issuer::Plain => Err((self, EOPNOTSUPP)),
            Issuer::Adopted(_) => {
                // SAFETY: By the type invariant. io_uring takes the count for each write and, by
                // whether `IOCB_WRITE` is set, knows of it at the end.
                unsafe { self.0.as_mut().kiocb.end_write() };
                let boxes: *const _ = self.kiocb().target().mailboxes();
                // SAFETY: The file, and so the boxes, are there until the request has been
                // completed.
                unsafe { &*boxes }.post(self)
            }
            Issuer::Native => {
                let iocb = self.kiocb().as_ptr();
                let head = ManuallyDrop::new(self).0.as_ptr();
                // SAFETY: The head is given up, and is in no list. The issuer calls the function
                // once, in a task.
                unsafe {
                    bindings::rnull_dio_iocb_defer(
                        iocb,
                        &raw mut (*head).link,
                        Some(run_native::<T>),
                    )
                };
                Ok(())
            }
            Issuer::Deferring => {
                let iocb = self.kiocb().as_ptr();
                // SAFETY: The completion function has told that it is such a kiocb, and it is the
                // request's.
                unsafe { deferring::hand_over(iocb, Deferred::new(self)) };
                Ok(())
            }
        }
    }

    /// Frees the bio, with the pins on its pages, and gives the request back.
    pub fn into_kiocb(self) -> Kiocb<T> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant they are ours.
        unsafe { take_apart(head) }
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
}

/// # Safety
///
/// For the issuer of a request that was handed over, in a task.
unsafe extern "C" fn run_native<T: BioTarget>(dc: *mut bindings::dio_completion) -> isize {
    // INVARIANT: The head was given up for this call, which is the only one.
    // SAFETY: This is where the head has room for it.
    let head = EndedHead::<T>(unsafe {
        NonNull::new_unchecked(container_of!(dc.cast::<*mut c_void>(), Head<T>, link))
    });
    Deferred::new(head).run(&Task::new())
}

// SAFETY: io_uring keeps the task until the request has been completed.
unsafe impl<T: BioTarget> Mail for EndedHead<T> {
    fn task(&self) -> NonNull<bindings::task_struct> {
        match self.issuer() {
            Issuer::Adopted(task) => task,
            _ => unreachable!("only requests with a task are mail"),
        }
    }

    fn deliver(self, task: &Task) {
        let (kiocb, ret) = T::finish(self, task);
        kiocb.complete(ret);
    }
}

impl<T: BioTarget> Drop for EndedHead<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant they are ours; `self` is not used after this.
        drop(unsafe { take_apart(self.0) });
    }
}

// SAFETY: The pointer is that of the head, which is unique to it; the link lies in the head, and
// nobody else has access to the request while the list owns it.
unsafe impl<T: BioTarget> Node for EndedHead<T> {
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
    Completer(EndedHead<T>),
}

/// A completer's reference to a request that is under way.
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
        // SAFETY: By the type invariant.
        let refs = unsafe { &(*head.as_ptr()).refs };
        // What all holders did comes before what the last one does. Who holds the only reference
        // need not drop it, since others are made of that one alone.
        let last = refs.load(ordering::Acquire) == 1 || refs.fetch_sub(1, ordering::Full) == 1;
        last.then_some(head)
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
            return LastRef::Completer(EndedHead(head));
        }
        // SAFETY: The issuer sleeps until this is null. Nothing of the head is used afterwards.
        unsafe { bindings::rnull_dio_wake_for_io(waiter.as_ptr()) };
        LastRef::Waiter
    }
}

impl<T: BioTarget> Drop for HeadRef<T> {
    fn drop(&mut self) {
        // The last one drops the request, which its kiocb reports.
        drop(HeadRef(self.0).put_completer());
    }
}

/// The submitter's reference to a request that is under way. There is one, and it stays with the
/// task that submits.
#[must_use = "the submitter has to finish what it has begun"]
pub struct SubmitterRef<T: BioTarget>(ManuallyDrop<HeadRef<T>>, PhantomData<*mut ()>);

impl<T: BioTarget> SubmitterRef<T> {
    /// The request.
    pub fn kiocb(&self) -> &Kiocb<T> {
        self.0.kiocb()
    }

    /// The state of the request.
    pub fn data(&self) -> &T::Data {
        self.0.data()
    }

    /// Makes a reference for another bio.
    pub(super) fn share(&self) -> HeadRef<T> {
        self.0.head().refs.add(1, ordering::Relaxed);
        // INVARIANT: It has just been counted.
        HeadRef(self.0 .0)
    }

    /// Drops the reference. An issuer that waits gets the request back, once all bios have ended;
    /// any other one only if they have already, and must not touch it otherwise.
    ///
    /// Sleeps if the issuer waits.
    pub fn finish(self) -> Option<EndedHead<T>> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not used after this.
        unsafe { Self::put(this.0 .0) }
    }

    /// # Safety
    ///
    /// `head` must be that of a submitter's reference, which is given up.
    unsafe fn put(head: NonNull<Head<T>>) -> Option<EndedHead<T>> {
        // INVARIANT: Per the function's safety requirements.
        let submitter = HeadRef(head);
        let sync = submitter.kiocb().is_sync();
        // INVARIANT: There was nobody else.
        if let Some(head) = submitter.put() {
            return Some(EndedHead(head));
        }
        if !sync {
            return None;
        }
        // SAFETY: The last completer leaves the head of a waiting issuer alone, but for `waiter`,
        // and there is only one submitter, so that it is valid.
        unsafe { bindings::rnull_dio_wait_for_io((*head.as_ptr()).waiter.as_ptr()) };
        // INVARIANT: The last completer is gone.
        Some(EndedHead(head))
    }
}

impl<T: BioTarget> Drop for SubmitterRef<T> {
    fn drop(&mut self) {
        // The kiocb reports what is dropped here.
        // SAFETY: The reference is ours; the field is not dropped on top of this.
        drop(unsafe { Self::put(self.0 .0) });
    }
}
