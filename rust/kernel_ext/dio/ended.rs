// SPDX-License-Identifier: GPL-2.0

//! Requests of which all bios have ended, and their hand-over to the issuer.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    container_of,
    ffi::c_void,
    prelude::*, //
};

use super::{
    call::EndIoFlags,
    deferring::{
        Deferred,
        DeferredVTable,
        DeferringKiocb, //
    },
    head::{
        DioTarget,
        Head, //
    },
    issuer::Issuer,
    kiocb::DioKiocb, //
};
use crate::{
    bindings,
    block::bio::BioMut,
    compat::error::code::{
        ECANCELED,
        EOPNOTSUPP, //
    },
    context::MaySleep,
    fs::kiocb::to_ki_result,
    sync::llist::{
        LockLessList,
        Node, //
    },
    task_work::{
        TaskWorkItem,
        TaskWorkQueue, //
    },
};

/// A target whose requests may be handed over to their issuers.
pub trait HandOver: DioTarget {
    /// Returns the queue of requests that wait for their issuers' tasks. Always the same.
    fn task_work(&self) -> &TaskWorkQueue<EndedDio<Self>>;

    /// Runs the rest of the completion of a request that was handed over. Called in a task of the
    /// issuer.
    ///
    /// Returns the request and its result, for the issuer.
    fn run(dio: EndedDio<Self>, ctx: &MaySleep) -> (DioKiocb<Self>, Result<usize>);

    /// Takes back a request that was handed over, and whose completion the issuer does not run
    /// because of `err`. Any context.
    fn refused(dio: EndedDio<Self>, err: Error);
}

/// A request of which all bios have ended.
///
/// # Invariants
///
/// The pointer is an initialized [`Head`] before a bio of a set of `T`, which has ended. Both are
/// exclusively ours.
pub struct EndedDio<T: DioTarget>(NonNull<Head<T>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: DioTarget> Send for EndedDio<T> {}

impl<T: DioTarget> EndedDio<T> {
    /// # Safety
    ///
    /// The type invariant must hold for `head`, which the caller gives up.
    #[inline]
    pub(super) unsafe fn from_head(head: NonNull<Head<T>>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(head)
    }

    /// Returns the request.
    #[inline]
    pub fn kiocb(&self) -> &DioKiocb<T> {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().kiocb }
    }

    #[inline]
    fn issuer(&self) -> Issuer {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref().issuer }
    }

    #[inline]
    fn kiocb_mut(&mut self) -> &mut DioKiocb<T> {
        // SAFETY: By the type invariant.
        unsafe { &mut self.0.as_mut().kiocb }
    }

    /// Tells the file system that all bios have ended for `size` bytes from the position of the
    /// request on, which are those of the request, or of some contiguous ones (`->end_io`). In a
    /// task, unless all of a write had blocks with data, within the file.
    ///
    /// # Errors
    ///
    /// That of the file system, which may be another one than `result`; without such a function,
    /// that of `result`.
    #[inline(always)]
    pub fn call_end_io(&self, size: usize, result: Result, flags: EndIoFlags) -> Result {
        // SAFETY: By the type invariant.
        let head = unsafe { self.0.as_ref() };
        // SAFETY: By the invariant of the head.
        unsafe { head.end_io.call(&head.kiocb, size, result, flags) }
    }

    /// Returns whether that calls the same function for both requests, or none.
    pub fn has_same_end_io(&self, other: &Self) -> bool {
        // SAFETY: By the type invariants.
        let (one, other) = unsafe { (self.0.as_ref(), other.0.as_ref()) };
        one.end_io.is_same(other.end_io)
    }

    /// Drops the request's count of its inode's `i_dio_count`. Any context.
    #[inline]
    pub fn end_dio(&mut self) {
        self.kiocb_mut().end_dio();
    }

    /// Drops the issuer's write count of the super block until the request is completed, see
    /// [`DioKiocb::end_write`]. Any context.
    #[inline]
    pub fn end_write(&mut self) {
        let issuer = self.issuer();
        // SAFETY: It is the issuer of the kiocb, or `Plain`.
        unsafe { self.kiocb_mut().end_write(issuer) };
    }

    /// Returns the state of the request.
    #[inline]
    pub fn state(&self) -> &T::State {
        // SAFETY: By the type invariant.
        unsafe { &self.0.as_ref().state }
    }

    /// Returns the state of the request, which is no longer shared.
    #[inline]
    pub fn state_mut(&mut self) -> &mut T::State {
        // SAFETY: By the type invariant.
        unsafe { &mut self.0.as_mut().state }
    }

    /// Returns whether the first bio was polled for until its end. The block layer does not poll
    /// for some bios, such as those that it splits.
    #[inline]
    pub fn was_polled(&self) -> bool {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { (*Head::bio(self.0).as_ptr()).bi_opf & bindings::EXT_REQ_POLLED != 0 }
    }

    /// Returns whether pages of the first bio have to be marked dirty, see
    /// [`EndedBio::finish_with_pages`](super::EndedBio::finish_with_pages).
    #[inline]
    pub fn must_redirty(&self) -> bool {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { BioMut::from_raw(Head::bio(self.0)) }.is_pinned()
    }

    /// Marks the pages dirty that were cleaned while the read was in flight, if there are any.
    ///
    /// Takes folio locks, which may be held for as long as a writeback takes.
    pub fn redirty_pages(&mut self, ctx: &MaySleep) {
        // SAFETY: By the type invariant the bio is ours.
        unsafe { BioMut::from_raw(Head::bio(self.0)) }.mark_pages_dirty(ctx);
    }

    /// Returns whether the issuer can run the rest of a completion in a task.
    #[inline]
    pub fn issuer_defers(&self) -> bool {
        matches!(
            self.issuer(),
            Issuer::IoUring(_) | Issuer::Native | Issuer::Deferring | Issuer::Waiting
        )
    }

    /// Returns whether the issuer runs completions only in a task that sleeps for the results of
    /// requests, and for nothing else.
    #[inline]
    pub fn issuer_waits(&self) -> bool {
        self.issuer() == Issuer::Waiting
    }

    /// Returns whether the issuer runs completions by `kiocb->dio_complete`.
    #[inline]
    pub fn issuer_is_native(&self) -> bool {
        self.issuer() == Issuer::Native
    }

    /// Frees the bio, with the pins on its pages, and returns the request.
    #[inline]
    pub fn into_kiocb(self) -> DioKiocb<T> {
        let head = ManuallyDrop::new(self).0;
        // SAFETY: By the type invariant they are ours.
        unsafe { Head::free(head) }
    }

    /// Adds the request to a list that its target has. Returns whether the list was empty.
    ///
    /// Once it is in the list, other contexts may complete it, and the target may be freed.
    #[inline]
    pub fn push_to(self, list: impl FnOnce(&T) -> &LockLessList<Self>) -> bool {
        let list: *const _ = list(self.kiocb().target());
        // SAFETY: The target, and so the list, stays until the request has been completed, which is
        // not before it is in the list. The list is not accessed afterwards.
        unsafe { &*list }.push(self)
    }
}

impl<T: HandOver> EndedDio<T> {
    /// Hands the request over to its issuer, which runs the rest by [`HandOver::run`]. Any context.
    ///
    /// The caller must have called [`end_dio`](Self::end_dio) and [`end_write`](Self::end_write),
    /// because the issuer's task may be sleeping until these counts are dropped; unless the issuer
    /// [waits](Self::issuer_waits).
    ///
    /// # Errors
    ///
    /// Returns the request, with
    ///
    /// - `EOPNOTSUPP`: the issuer does not run completions.
    /// - the errors of [`TaskWorkQueue::queue`].
    pub fn hand_over(self) -> Result<(), (Self, Error)> {
        match self.issuer() {
            Issuer::Plain | Issuer::IoUringPoll => Err((self, EOPNOTSUPP)),
            Issuer::IoUring(_) => {
                let queue: *const _ = self.kiocb().target().task_work();
                // SAFETY: The target, and so the queue, stays until the request has been completed,
                // which is not before it has been queued and run.
                unsafe { (*queue).queue(self) }
            }
            Issuer::Native => {
                self.defer();
                Ok(())
            }
            Issuer::Deferring | Issuer::Waiting => {
                let iocb = self.kiocb().as_raw();
                // SAFETY: The issuer is known to be such a kiocb, and it is the request's.
                unsafe { DeferringKiocb::hand_over(iocb, self.into_deferred()) };
                Ok(())
            }
        }
    }

    /// Hands the request over by `kiocb->dio_complete`.
    fn defer(self) {
        let iocb = self.kiocb().as_raw();
        let head = ManuallyDrop::new(self).0.as_ptr();
        // SAFETY: The head is given up, and is in no list. The issuer calls the function once, in a
        // task.
        unsafe { bindings::ext_iocb_defer(iocb, &raw mut (*head).link, Some(run_native::<T>)) };
    }

    fn into_deferred(self) -> Deferred {
        let vtable = const {
            &DeferredVTable {
                run: run::<T>,
                refuse: refuse::<T>,
            }
        };
        // SAFETY: The functions take what `into_raw` returns.
        unsafe { Deferred::new(self.into_raw(), vtable) }
    }
}

/// Runs the rest of a completion in its issuer's task. Returns the result, for the issuer, which
/// has the kiocb back.
///
/// # Safety
///
/// `dio` must come from [`EndedDio::<T>::into_raw`](Node::into_raw), and is given up.
unsafe fn run<T: HandOver>(dio: NonNull<c_void>, ctx: &MaySleep) -> isize {
    // SAFETY: By the safety requirements of this function.
    let (kiocb, ret) = T::run(unsafe { EndedDio::from_raw(dio) }, ctx);
    let _: NonNull<bindings::kiocb> = kiocb.into_kiocb().into_raw();
    to_ki_result(ret)
}

/// # Safety
///
/// As for [`run`].
unsafe fn refuse<T: HandOver>(dio: NonNull<c_void>) {
    // SAFETY: By the safety requirements of this function.
    T::refused(unsafe { EndedDio::from_raw(dio) }, ECANCELED);
}

/// # Safety
///
/// For the issuer of a request that was handed over, in a task.
unsafe extern "C" fn run_native<T: HandOver>(dc: *mut bindings::dio_completion) -> isize {
    // INVARIANT: The head was given up for this call, which is the only one.
    // SAFETY: This is where the head has room for it.
    let dio = EndedDio::<T>(unsafe {
        NonNull::new_unchecked(container_of!(dc.cast::<*mut c_void>(), Head<T>, link))
    });
    dio.into_deferred().run(&MaySleep::new())
}

// SAFETY: io_uring keeps the task until the request has been completed. The target of the request
// has the queue, and stays for as long.
unsafe impl<T: HandOver> TaskWorkItem for EndedDio<T> {
    fn task(&self) -> Option<NonNull<bindings::task_struct>> {
        match self.issuer() {
            Issuer::IoUring(task) => Some(task),
            _ => None,
        }
    }

    fn run(self, ctx: &MaySleep) {
        let (kiocb, ret) = T::run(self, ctx);
        kiocb.complete(ret);
    }
}

impl<T: DioTarget> Drop for EndedDio<T> {
    fn drop(&mut self) {
        // The kiocb reports that it was dropped.
        // SAFETY: By the type invariant they are ours; the object is not used after this.
        drop(unsafe { Head::free_unused(self.0) });
    }
}

// SAFETY: The pointer is that of the head, which is unique to it. The link lies in the head, to
// which nothing else has access while the list owns it.
unsafe impl<T: DioTarget> Node for EndedDio<T> {
    fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(ptr.cast())
    }

    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
        // SAFETY: By the safety requirements of this function it is a valid head.
        unsafe { &raw mut (*ptr.cast::<Head<T>>().as_ptr()).link }
    }
}
