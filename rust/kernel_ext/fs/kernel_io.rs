// SPDX-License-Identifier: GPL-2.0

//! Requests that the kernel issues itself, for its own memory, and that it can look at: for tests.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::{
    cell::UnsafeCell,
    ptr::NonNull, //
};

use kernel::{
    container_of,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_uint, //
    },
    page::PAGE_SIZE,
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
    types::Opaque, //
};

use super::{
    deferring::{
        Deferred,
        DeferringKiocb,
        Outcome, //
    },
    dio_gate::WithoutDio,
    inode::InodeGuard,
    iomap::Mapping,
    kiocb::{
        self,
        from_ki_result,
        to_ki_result,
        PollCookie, //
    },
    Issued,
    Kiocb, //
};
use crate::{
    bindings,
    context::{
        Io,
        Task, //
    },
    iov::IovIter, //
};

/// How a request is to be carried out.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Does it write?
    pub write: bool,
    /// Does the issuer wait?
    pub sync: bool,
    /// Does the issuer poll?
    pub hipri: bool,
    /// Does the issuer finish the request itself, if asked to?
    pub defers: bool,
    /// Must submission not sleep?
    pub nowait: bool,
    /// Must written data be durable?
    pub dsync: bool,
    /// Is the memory described by pages, rather than by its address?
    pub bvec: bool,
    /// Where in the buffer the memory begins.
    pub offset: usize,
}

impl Options {
    fn iocb_flags(&self) -> c_int {
        let mut flags = bindings::IOCB_DIRECT as c_int;
        for (wanted, flag) in [
            (self.write, bindings::IOCB_WRITE as c_int),
            (self.hipri, bindings::EXT_IOCB_HIPRI),
            (self.nowait, bindings::EXT_IOCB_NOWAIT),
            (self.dsync, bindings::EXT_IOCB_DSYNC),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        flags
    }
}

/// A request of the kernel's own. Dropping it waits until it is done, so that may sleep.
///
/// # Invariants
///
/// - `iocb` has a file of its own, which this object holds.
/// - From `issue` until the request is done, nobody touches the buffer but the device.
#[pin_data(PinnedDrop)]
pub struct KernelIo<T: Mapping + Send + Sync + 'static> {
    iocb: DeferringKiocb,
    target: Arc<T>,
    options: Options,
    buf: UnsafeCell<VVec<u8>>,
    /// The buffer's pages from `options.offset` on.
    segments: KVec<bindings::bio_vec>,
    issued: Atomic<bool>,
    queued: Atomic<bool>,
    was_handed_over: Atomic<bool>,
    completions: Atomic<u32>,
    result: Atomic<isize>,
    #[pin]
    done: Completion,
    /// What the issuer was handed, until it is run.
    deferred: UnsafeCell<Option<Deferred>>,
    #[pin]
    handed_over: Completion,
}

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Mapping + Send + Sync> Send for KernelIo<T> {}

// SAFETY: The kiocb is only touched by who issues and completes the request, once each; the buffer
// is only read, and only when the request is done. What was handed over is touched by who completes
// the request, and then by who has waited for that.
unsafe impl<T: Mapping + Send + Sync> Sync for KernelIo<T> {}

const FILE_OPERATIONS: bindings::file_operations = pin_init::zeroed();

impl<T: Mapping + Send + Sync + 'static> KernelIo<T> {
    /// Creates a request for `target`, at `pos` bytes, that reads into or writes from `buf`.
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(
        target: Arc<T>,
        pos: u64,
        buf: VVec<u8>,
        options: Options,
    ) -> Result<Pin<KBox<Self>>> {
        // SAFETY: The operations are constant and empty.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                c"rnull_dio".as_char_ptr(),
                &FILE_OPERATIONS,
                core::ptr::null_mut(),
                bindings::O_RDWR as c_int,
                core::ptr::null(),
            )
        })?;
        // SAFETY: The file is ours until the request is dropped.
        let iocb = unsafe {
            DeferringKiocb::new(
                file,
                pos as bindings::loff_t,
                options.iocb_flags(),
                Self::completed,
            )
        };
        if !options.defers {
            // As if somebody had copied all but the completion function of one that defers.
            let plain: unsafe extern "C" fn(*mut bindings::kiocb, isize) = Self::ki_complete;
            let ki_complete = (!options.sync).then_some(plain);
            // SAFETY: The kiocb is ours.
            unsafe { (*iocb.as_ptr()).ki_complete = ki_complete };
        }
        let segments = segments(&buf[options.offset..])?;
        KBox::pin_init(
            pin_init!(Self {
                iocb,
                target,
                options,
                buf: UnsafeCell::new(buf),
                segments,
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
        submit: impl FnOnce(Kiocb<T>, &mut IovIter<'_>, &Io) -> Issued<T>,
    ) {
        assert!(
            !self.issued.xchg(true, ordering::Full),
            "a request was issued twice"
        );
        let direction = c_uint::from(self.options.write);
        let iter = Opaque::<bindings::iov_iter>::uninit();
        // SAFETY: Nobody accesses the buffer before the request is done but the device. Cell and
        // contents stay where they are.
        let buf = unsafe { &mut (*self.buf.get())[self.options.offset..] };
        let kvec = bindings::kvec {
            iov_base: buf.as_mut_ptr().cast(),
            iov_len: buf.len(),
        };
        // SAFETY: The iterator is ours. Its segments live until submission is over, and the pages
        // as long as the request.
        unsafe {
            if self.options.bvec {
                let segments = self.segments.as_ptr();
                bindings::iov_iter_bvec(
                    iter.get(),
                    direction,
                    segments,
                    self.segments.len(),
                    buf.len(),
                );
            } else {
                bindings::iov_iter_kvec(iter.get(), direction, &kvec, 1, buf.len());
            }
        }
        // SAFETY: The kiocb is valid, and so is its file; they and the target stay until the
        // request is done, which the drop waits for. It has not been issued before.
        let kiocb = unsafe {
            Kiocb::from_raw(
                NonNull::new_unchecked(self.iocb.as_ptr()),
                NonNull::from(&*self.target),
            )
        };
        // SAFETY: The iterator is valid, and ours.
        match submit(kiocb, unsafe { IovIter::from_raw(iter.get()) }, &Io::new()) {
            Issued::Queued => self.queued.store(true, ordering::Relaxed),
            Issued::Done(kiocb, ret) => {
                // SAFETY: The kiocb came back, so that nobody else can complete it.
                unsafe { Self::finish(kiocb.into_raw().as_ptr(), to_ki_result(ret)) };
            }
        }
    }

    /// # Safety
    ///
    /// For whoever completes the request.
    unsafe extern "C" fn ki_complete(iocb: *mut bindings::kiocb, ret: isize) {
        // SAFETY: Whoever completes the request gives it up.
        unsafe { Self::finish(iocb, ret) };
    }

    /// Takes back a request of an issuer that defers.
    fn completed(iocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // SAFETY: It is the field of such an object, which waits for what follows.
        let this = unsafe { &*container_of!(iocb.as_ptr(), Self, iocb) };
        match outcome {
            Outcome::Done(ret) => this.finish_with(ret),
            Outcome::Deferred(deferred) => {
                // SAFETY: Nobody accesses it before it is known to be there.
                unsafe { *this.deferred.get() = Some(deferred) };
                this.was_handed_over.store(true, ordering::Relaxed);
                this.handed_over.complete_all();
            }
        }
    }

    /// Waits until the issuer has been handed the rest of the completion. Sleeps.
    pub fn wait_for_hand_over(&self) {
        self.handed_over.wait_for_completion();
    }

    /// Has the issuer been handed the rest of the completion?
    pub fn was_handed_over(&self) -> bool {
        self.was_handed_over.load(ordering::Relaxed)
    }

    /// Sleeps for a short while.
    pub fn nap(&self) {
        fsleep(Delta::from_micros(100));
    }

    /// Runs `f`, which may do I/O.
    pub fn with_io<R>(&self, f: impl FnOnce(&Io) -> R) -> R {
        f(&Io::new())
    }

    /// Takes what the issuer was handed.
    fn take_deferred(&self) -> Option<Deferred> {
        self.wait_for_hand_over();
        // SAFETY: It was put there before the hand-over was told, and there is one.
        unsafe { (*self.deferred.get()).take() }
    }

    /// Does what the issuer was handed. Sleeps.
    pub fn run_deferred(&self) {
        let deferred = self.take_deferred();
        assert!(deferred.is_some(), "there is nothing left to do");
        if let Some(deferred) = deferred {
            self.finish_with(deferred.run(&Task::new()));
        }
    }

    /// Does not do what the issuer was handed. Sleeps.
    pub fn refuse_deferred(&self) {
        drop(self.take_deferred());
    }

    /// # Safety
    ///
    /// `iocb` must be the kiocb of a request that was issued, and be given up by the caller.
    unsafe fn finish(iocb: *mut bindings::kiocb, ret: isize) {
        let iocb = iocb.cast::<DeferringKiocb>();
        // SAFETY: It is the field of such an object, which waits for what follows.
        unsafe { &*container_of!(iocb, Self, iocb) }.finish_with(ret);
    }

    fn finish_with(&self, ret: isize) {
        self.completions.add(1, ordering::Relaxed);
        self.result.store(ret, ordering::Relaxed);
        // The last access: who waits may go on, and drop it.
        self.done.complete_all();
    }

    /// Was submission over before the request was known to be done?
    pub fn was_queued(&self) -> bool {
        self.queued.load(ordering::Relaxed)
    }

    /// How often the request has been completed.
    pub fn completions(&self) -> u32 {
        self.completions.load(ordering::Relaxed)
    }

    /// Where to poll for the request.
    pub fn poll_cookie(&self) -> Option<PollCookie> {
        // SAFETY: The kiocb is ours, and does not go away before we do.
        unsafe { kiocb::poll_cookie(self.iocb.as_ptr()) }
    }

    /// Polls for the request, by `poll`.
    pub fn poll<R>(&self, poll: impl FnOnce(Option<PollCookie>, &Task) -> R) -> R {
        poll(self.poll_cookie(), &Task::new())
    }

    /// Waits until the request is done; returns its result. Sleeps.
    pub fn wait(&self) -> Result<usize> {
        self.done.wait_for_completion();
        from_ki_result(self.result.load(ordering::Relaxed))
    }

    /// How far the request has moved its position on, in bytes. When it is done.
    pub fn advanced_to(&self) -> u64 {
        self.done.wait_for_completion();
        // SAFETY: The request is done, and nobody else touches the kiocb. CAST: Not negative.
        unsafe { (*self.iocb.as_ptr()).ki_pos as u64 }
    }

    /// The memory that the request was for. When it is done.
    pub fn buf(&self) -> &[u8] {
        self.done.wait_for_completion();
        // SAFETY: The request is done, and nothing writes to the buffer any more.
        unsafe { &(*self.buf.get())[self.options.offset..] }
    }

    /// Runs `f` while the request's inode is without direct I/O, for which the gate of the target
    /// is closed. Sleeps. One at a time for a target, since the first one who is done opens it.
    pub fn without_dio<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: The file is ours, and has an inode.
        let inode = unsafe { NonNull::new_unchecked((*(*self.iocb.as_ptr()).ki_filp).f_inode) };
        // SAFETY: The file keeps its inode.
        let _lock = unsafe { InodeGuard::lock(inode) };
        // SAFETY: The lock has just been taken, and is dropped later. The gate is that of all
        // requests for the target, each of which has an inode of its own.
        let _alone = unsafe { WithoutDio::new(self.target.dio_gate(), inode, &Io::new()) };
        f()
    }

    /// The inode's `i_dio_count`.
    pub fn dio_count(&self) -> i32 {
        // SAFETY: The file is ours, and has an inode.
        let inode = unsafe { (*(*self.iocb.as_ptr()).ki_filp).f_inode };
        // SAFETY: The inode is valid; the counter is atomic.
        let count = unsafe { Atomic::<i32>::from_ptr(&raw mut (*inode).i_dio_count.counter) };
        count.load(ordering::Relaxed)
    }
}

/// The pages of vmalloc memory.
fn segments(buf: &[u8]) -> Result<KVec<bindings::bio_vec>> {
    let mut segments = KVec::new();
    let mut rest = buf;
    while let Some(first) = rest.first() {
        let address: *const u8 = first;
        let offset = address.addr() % PAGE_SIZE;
        let len = rest.len().min(PAGE_SIZE - offset);
        segments.push(
            bindings::bio_vec {
                // SAFETY: A `VVec` lies in vmalloc memory.
                bv_page: unsafe { bindings::vmalloc_to_page(address.cast()) },
                // CAST: Less than a page.
                bv_len: len as u32,
                bv_offset: offset as u32,
            },
            GFP_KERNEL,
        )?;
        rest = &rest[len..];
    }
    Ok(segments)
}

#[pinned_drop]
impl<T: Mapping + Send + Sync + 'static> PinnedDrop for KernelIo<T> {
    fn drop(self: Pin<&mut Self>) {
        if self.issued.load(ordering::Relaxed) {
            self.done.wait_for_completion();
        }
        // SAFETY: By the type invariant the file is ours.
        unsafe { bindings::fput((*self.iocb.as_ptr()).ki_filp) };
    }
}
