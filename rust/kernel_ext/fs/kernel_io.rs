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
    types::Opaque, //
};

use super::{
    kiocb::{
        self,
        from_ki_result,
        to_ki_result,
        PollCookie, //
    },
    Issued, Kiocb,
};
use crate::{
    bindings,
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
pub struct KernelIo<T: Send + Sync + 'static> {
    iocb: Opaque<bindings::kiocb>,
    target: Arc<T>,
    options: Options,
    buf: UnsafeCell<VVec<u8>>,
    /// The buffer's pages from `options.offset` on.
    segments: KVec<bindings::bio_vec>,
    issued: Atomic<bool>,
    queued: Atomic<bool>,
    completions: Atomic<u32>,
    result: Atomic<isize>,
    #[pin]
    done: Completion,
}

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Send + Sync> Send for KernelIo<T> {}

// SAFETY: The kiocb is only touched by who issues and completes the request, once each; the buffer
// is only read, and only when the request is done.
unsafe impl<T: Send + Sync> Sync for KernelIo<T> {}

const FILE_OPERATIONS: bindings::file_operations = pin_init::zeroed();

impl<T: Send + Sync + 'static> KernelIo<T> {
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
        let mut iocb: bindings::kiocb = pin_init::zeroed();
        // SAFETY: The operations are constant and empty.
        iocb.ki_filp = from_err_ptr(unsafe {
            bindings::anon_inode_create_getfile(
                c"rnull_dio".as_char_ptr(),
                &FILE_OPERATIONS,
                core::ptr::null_mut(),
                bindings::O_RDWR as c_int,
                core::ptr::null(),
            )
        })?;
        iocb.ki_pos = pos as bindings::loff_t;
        iocb.ki_flags = options.iocb_flags();
        if !options.sync {
            iocb.ki_complete = Some(Self::ki_complete);
        }
        let segments = segments(&buf[options.offset..])?;
        KBox::pin_init(
            pin_init!(Self {
                iocb: Opaque::new(iocb),
                target,
                options,
                buf: UnsafeCell::new(buf),
                segments,
                issued: Atomic::new(false),
                queued: Atomic::new(false),
                completions: Atomic::new(0),
                result: Atomic::new(0),
                done <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Issues the request, by `submit`. Sleeps if that does.
    ///
    /// # Panics
    ///
    /// If it has been issued before.
    pub fn issue(self: Pin<&Self>, submit: impl FnOnce(Kiocb<T>, &mut IovIter<'_>) -> Issued<T>) {
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
                NonNull::new_unchecked(self.iocb.get()),
                NonNull::from(&*self.target),
            )
        };
        // SAFETY: The iterator is valid, and ours.
        match submit(kiocb, unsafe { IovIter::from_raw(iter.get()) }) {
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

    /// # Safety
    ///
    /// `iocb` must be the kiocb of a request that was issued, and be given up by the caller.
    unsafe fn finish(iocb: *mut bindings::kiocb, ret: isize) {
        let iocb = iocb.cast::<Opaque<bindings::kiocb>>();
        // SAFETY: It is the field of such an object, which waits for what follows.
        let this = unsafe { &*container_of!(iocb, Self, iocb) };
        this.completions.add(1, ordering::Relaxed);
        this.result.store(ret, ordering::Relaxed);
        // The last access: who waits may go on, and drop it.
        this.done.complete_all();
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
        unsafe { kiocb::poll_cookie(self.iocb.get()) }
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
        unsafe { (*self.iocb.get()).ki_pos as u64 }
    }

    /// The memory that the request was for. When it is done.
    pub fn buf(&self) -> &[u8] {
        self.done.wait_for_completion();
        // SAFETY: The request is done, and nothing writes to the buffer any more.
        unsafe { &(*self.buf.get())[self.options.offset..] }
    }

    /// The inode's `i_dio_count`.
    pub fn dio_count(&self) -> i32 {
        // SAFETY: The file is ours, and has an inode.
        let inode = unsafe { (*(*self.iocb.get()).ki_filp).f_inode };
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
impl<T: Send + Sync + 'static> PinnedDrop for KernelIo<T> {
    fn drop(self: Pin<&mut Self>) {
        if self.issued.load(ordering::Relaxed) {
            self.done.wait_for_completion();
        }
        // SAFETY: By the type invariant the file is ours.
        unsafe { bindings::fput((*self.iocb.get()).ki_filp) };
    }
}
