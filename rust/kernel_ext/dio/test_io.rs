// SPDX-License-Identifier: GPL-2.0

//! Requests for tests, which record how they are completed.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

mod exclusion;
mod mapped;
mod mapping;
mod memory;
mod options;

use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};

use kernel::{
    container_of,
    prelude::*,
    sync::{
        atomic::{
            ordering,
            Atomic, //
        },
        Arc,
        Completion, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

pub use self::{
    mapped::{
        BeginFlags,
        CallOptions,
        MappedFile,
        TestMappings, //
    },
    mapping::{
        TestMapping,
        TestType, //
    },
    options::TestIoOptions, //
};

use self::{
    mapped::KeepsFile,
    memory::Memory, //
};
use super::{
    deferring::{
        Deferred,
        DeferringKiocb,
        Outcome, //
    },
    head::DioTarget,
    polled, //
};
use crate::{
    bindings,
    block::poll::PollCookie,
    context::{
        MayIo,
        MaySleep, //
    },
    fs::{
        kiocb::{
            from_ki_result,
            to_ki_result, //
        },
        Issued,
        Kiocb,
        PolledKiocb, //
    },
    iov::{
        Keeper,
        RawIovIter, //
    },
};

/// A request that the kernel itself issues. Its drop sleeps until the request is done.
///
/// # Invariants
///
/// - `iocb` has a file of its own, to which this object has a reference.
/// - From `issue` until the request is done, only the device accesses the memory.
#[pin_data(PinnedDrop)]
pub struct TestIo<T: DioTarget> {
    iocb: DeferringKiocb,
    /// What the operations of the file need.
    _keeper: Arc<dyn KeepsFile>,
    target: Arc<T>,
    options: TestIoOptions,
    memory: Memory,
    issued: Atomic<bool>,
    queued: Atomic<bool>,
    was_handed_over: Atomic<bool>,
    completions: Atomic<u32>,
    result: Atomic<isize>,
    #[pin]
    done: Completion,
    /// The rest of the completion, from the hand-over until it is run.
    deferred: UnsafeCell<Option<Deferred>>,
    #[pin]
    handed_over: Completion,
}

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: DioTarget> Send for TestIo<T> {}

// SAFETY: Only the functions that issue and complete the request access the kiocb, once each. The
// memory is only read, and only when the request is done. What was handed over is accessed by the
// completion, and then by a function that has waited for the completion.
unsafe impl<T: DioTarget> Sync for TestIo<T> {}

impl<T: DioTarget> TestIo<T> {
    /// Creates a request for `target` and `file`, at `pos` bytes, that reads into or writes from
    /// `buf`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new<M: TestMappings>(
        file: &Arc<MappedFile<M>>,
        target: Arc<T>,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
    ) -> Result<Pin<KBox<Self>>> {
        let keeper: Arc<dyn KeepsFile> = file.clone();
        Self::with_file(file.get(), keeper, target, pos, buf, options)
    }

    /// Creates a request, which takes over a reference to its file.
    fn with_file(
        file: *mut bindings::file,
        keeper: Arc<dyn KeepsFile>,
        target: Arc<T>,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
    ) -> Result<Pin<KBox<Self>>> {
        let memory = Memory::new(buf, options.offset)?;
        // SAFETY: The file is ours until the request is dropped.
        let iocb = unsafe {
            DeferringKiocb::new(
                file,
                pos as bindings::loff_t,
                options.iocb_flags(),
                false,
                Self::completed,
            )
        };
        // A request is polled for only if the write count of its issuer is known, as it is for a
        // `DeferringKiocb`.
        if !options.defers && !options.hipri || options.sync {
            // As a stacked file system does, which copies all fields but the completion function.
            let plain: unsafe extern "C" fn(*mut bindings::kiocb, isize) = Self::ki_complete;
            let ki_complete = (!options.sync).then_some(plain);
            // SAFETY: The kiocb is ours.
            unsafe { (*iocb.as_raw()).ki_complete = ki_complete };
        }
        KBox::pin_init(
            pin_init!(Self {
                iocb,
                _keeper: keeper,
                target,
                options,
                memory,
                issued: Atomic::new(false),
                queued: Atomic::new(false),
                was_handed_over: Atomic::new(false),
                completions: Atomic::new(0),
                result: Atomic::new(0),
                done <- Completion::new(),
                deferred: UnsafeCell::new(None),
                handed_over <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Issues the request, by `submit`. Sleeps if that does.
    ///
    /// # Panics
    ///
    /// If it has been issued before.
    pub fn issue(
        self: Pin<&Self>,
        submit: impl FnOnce(Kiocb<T>, &mut RawIovIter<'_>, &MayIo) -> Issued<T>,
    ) {
        assert!(
            !self.issued.xchg(true, ordering::Full),
            "a request was issued twice"
        );
        // SAFETY: The kiocb is valid, and so is its file; they and the target stay until the
        // request is done, which the drop waits for. The request has not been issued before.
        let kiocb = unsafe {
            Kiocb::from_raw(
                NonNull::new_unchecked(self.iocb.as_raw()),
                NonNull::from(&*self.target),
            )
        };
        let keeper = Keeper(self.iocb.as_raw());
        // SAFETY: By the type invariant, and the request was not issued before. This object is
        // pinned, and its drop waits for the request.
        let issued = unsafe {
            self.memory.with_iter(&self.options, keeper, |iter| {
                submit(kiocb, iter, &MayIo::new())
            })
        };
        match issued {
            Issued::Queued => self.queued.store(true, ordering::Relaxed),
            Issued::Done(kiocb, ret) => {
                // SAFETY: The kiocb was returned, so no other function completes it.
                unsafe { Self::finish(kiocb.into_raw().as_ptr(), to_ki_result(ret)) };
            }
        }
    }

    /// # Safety
    ///
    /// For the completion of the request.
    unsafe extern "C" fn ki_complete(iocb: *mut bindings::kiocb, ret: isize) {
        // SAFETY: The completion gives the request up.
        unsafe { Self::finish(iocb, ret) };
    }

    /// Takes back a request of an issuer that defers.
    fn completed(iocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // SAFETY: It is the field of such an object, whose drop waits for what follows.
        let this = unsafe { &*container_of!(iocb.as_ptr(), Self, iocb) };
        match outcome {
            Outcome::Done(ret) => this.finish_with(ret),
            Outcome::Deferred(deferred) => {
                // SAFETY: It is not accessed before `handed_over` is complete.
                unsafe { *this.deferred.get() = Some(deferred) };
                this.was_handed_over.store(true, ordering::Relaxed);
                this.handed_over.complete_all();
            }
        }
    }

    /// Waits until the rest of the completion has been handed over. Sleeps.
    pub fn wait_for_hand_over(&self) {
        self.handed_over.wait_for_completion();
    }

    /// Returns whether the rest of the completion has been handed over.
    pub fn was_handed_over(&self) -> bool {
        self.was_handed_over.load(ordering::Relaxed)
    }

    /// Sleeps for a short while.
    pub fn nap(&self) {
        fsleep(Delta::from_micros(100));
    }

    /// Calls `f` in a context that may do I/O.
    pub fn with_io<R>(&self, f: impl FnOnce(&MayIo) -> R) -> R {
        f(&MayIo::new())
    }

    /// Takes what was handed over.
    fn take_deferred(&self) -> Option<Deferred> {
        self.wait_for_hand_over();
        // SAFETY: It was put there before `handed_over` was complete, and there is one.
        unsafe { (*self.deferred.get()).take() }
    }

    /// Runs what was handed over. Sleeps.
    pub fn run_deferred(&self) {
        let deferred = self.take_deferred();
        assert!(deferred.is_some(), "nothing was handed over");
        if let Some(deferred) = deferred {
            self.finish_with(deferred.run(&MaySleep::new()));
        }
    }

    /// Refuses what was handed over. Sleeps.
    pub fn refuse_deferred(&self) {
        drop(self.take_deferred());
    }

    /// # Safety
    ///
    /// `iocb` must be the kiocb of a request that was issued, and be given up by the caller.
    unsafe fn finish(iocb: *mut bindings::kiocb, ret: isize) {
        let iocb = iocb.cast::<DeferringKiocb>();
        // SAFETY: It is the field of such an object, whose drop waits for what follows.
        unsafe { &*container_of!(iocb, Self, iocb) }.finish_with(ret);
    }

    fn finish_with(&self, ret: isize) {
        self.completions.add(1, ordering::Relaxed);
        self.result.store(ret, ordering::Relaxed);
        // The last access: a waiter may go on, and drop the object.
        self.done.complete_all();
    }

    /// Returns whether submission returned before the result was known.
    pub fn was_queued(&self) -> bool {
        self.queued.load(ordering::Relaxed)
    }

    /// Returns how often the request has been completed.
    pub fn completions(&self) -> u32 {
        self.completions.load(ordering::Relaxed)
    }

    /// Returns where to poll for the request.
    pub fn poll_cookie(&self) -> Option<PollCookie> {
        // SAFETY: The kiocb stays as long as this object.
        polled::poll_cookie(&unsafe {
            PolledKiocb::from_raw(NonNull::new_unchecked(self.iocb.as_raw()))
        })
    }

    /// Polls for the request, by `poll`.
    pub fn poll<R>(&self, poll: impl FnOnce(Option<PollCookie>, &MaySleep) -> R) -> R {
        poll(self.poll_cookie(), &MaySleep::new())
    }

    /// Waits until the request is done, and returns its result. Sleeps.
    ///
    /// # Errors
    ///
    /// The error that the issuer got.
    pub fn wait(&self) -> Result<usize> {
        self.done.wait_for_completion();
        from_ki_result(self.result.load(ordering::Relaxed))
    }

    /// Waits until the request is done, and returns its position in bytes. Sleeps.
    pub fn advanced_to(&self) -> u64 {
        self.done.wait_for_completion();
        // SAFETY: The request is done, so the kiocb is ours. CAST: Not negative.
        unsafe { (*self.iocb.as_raw()).ki_pos as u64 }
    }

    /// Waits until the request is done, and returns its memory. Sleeps.
    pub fn buf(&self) -> &[u8] {
        self.done.wait_for_completion();
        // SAFETY: The request is done, so the memory does not change any more.
        unsafe { self.memory.contents() }
    }

    /// Returns the inode's `i_dio_count`.
    pub fn dio_count(&self) -> i32 {
        // SAFETY: The file is ours, and has an inode.
        let inode = unsafe { (*(*self.iocb.as_raw()).ki_filp).f_inode };
        // SAFETY: The inode is valid; the counter is atomic.
        let count = unsafe { Atomic::<i32>::from_ptr(&raw mut (*inode).i_dio_count.counter) };
        count.load(ordering::Relaxed)
    }
}

#[pinned_drop]
impl<T: DioTarget> PinnedDrop for TestIo<T> {
    fn drop(self: Pin<&mut Self>) {
        if self.issued.load(ordering::Relaxed) {
            self.done.wait_for_completion();
        }
        // SAFETY: By the type invariant the file is ours.
        unsafe { bindings::fput((*self.iocb.as_raw()).ki_filp) };
    }
}
