// SPDX-License-Identifier: GPL-2.0

//! Who has issued a request, as far as that tells who may finish it.

use core::{
    ffi::CStr,
    ptr::NonNull, //
};

use kernel::{
    current,
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    },
};

use super::deferring::DeferringKiocb;
use crate::bindings;

/// The issuer of an asynchronous request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// Somebody who wants to be told of the end, and nothing else.
    Plain,
    /// io_uring, on behalf of this task. It is told the result like any other, but by the task
    /// itself, through task work.
    ///
    /// The task is there until the request has been completed, since io_uring holds a reference to
    /// it for each request.
    Adopted(NonNull<bindings::task_struct>),
    /// io_uring, in a kernel that has `kiocb->dio_complete`.
    Native,
    /// Somebody in this module.
    Deferring,
}

impl Issuer {
    /// Finds out who has issued `iocb`, in the context of its submission.
    #[inline]
    pub(crate) fn of(iocb: &bindings::kiocb) -> Self {
        let Some(ki_complete) = iocb.ki_complete else {
            return Self::Plain;
        };
        if DeferringKiocb::is(iocb) {
            return Self::Deferring;
        }
        // Flags are copied by those who clone requests, completion functions are not.
        if !is_io_uring(ki_complete as usize) {
            return Self::Plain;
        }
        // SAFETY: The kiocb is valid.
        if unsafe { bindings::rnull_dio_iocb_defers(iocb) } {
            return Self::Native;
        }
        Self::of_current()
    }

    /// Can the current task be relied on to come by, for what io_uring issues in it?
    fn of_current() -> Self {
        /// io_uring's threads look for requests of their own only, and kernel threads never return
        /// to user space.
        const NOT_ADOPTED: u32 = bindings::PF_KTHREAD
            | bindings::PF_USER_WORKER
            | bindings::PF_IO_WORKER
            | bindings::PF_EXITING;
        let task = current!().as_ptr();
        // SAFETY: The current task is valid, and nobody else changes these flags.
        if unsafe { (*task).flags } & NOT_ADOPTED != 0 {
            return Self::Plain;
        }
        NonNull::new(task).map_or(Self::Plain, Self::Adopted)
    }
}

/// io_uring's completion function for requests that are not polled for, once it is known.
static IO_URING: Atomic<usize> = Atomic::new(0);
/// Another completion function, the last one that was looked up.
static OTHER: Atomic<usize> = Atomic::new(0);

/// Is this io_uring's completion function?
#[inline]
fn is_io_uring(ki_complete: usize) -> bool {
    ki_complete == IO_URING.load(Relaxed)
        || (ki_complete != OTHER.load(Relaxed) && look_up(ki_complete))
}

/// The kernel does not tell modules where the function is, but it tells what is at an address.
#[cold]
fn look_up(ki_complete: usize) -> bool {
    let mut buf = [0; bindings::EXT_KSYM_SYMBOL_LEN];
    // SAFETY: The buffer is as large as the function wants it.
    unsafe { bindings::sprint_symbol_no_offset(buf.as_mut_ptr().cast(), ki_complete) };
    let name = CStr::from_bytes_until_nul(&buf).map_or(&b""[..], CStr::to_bytes);
    let found = is_name_of_io_uring(name);
    if found { &IO_URING } else { &OTHER }.store(ki_complete, Relaxed);
    found
}

/// Compilers may add a suffix; the names of modules' functions are followed by that of the module.
fn is_name_of_io_uring(name: &[u8]) -> bool {
    match name.strip_prefix(b"io_complete_rw") {
        Some(suffix) => suffix.is_empty() || (suffix[0] == b'.' && !suffix.contains(&b'[')),
        None => false,
    }
}

#[kunit_tests(rnull_dio_issuer)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            (&b"io_complete_rw"[..], true),
            (b"io_complete_rw.llvm.123", true),
            (b"io_complete_rw_iopoll", false),
            (b"io_complete_rw [fake]", false),
            (b"io_complete_rw.x [fake]", false),
            (b"aio_complete_rw", false),
            (b"backing_aio_rw_complete", false),
            (b"0xffffffff81000000", false),
            (b"", false),
        ] {
            assert_eq!(is_name_of_io_uring(name), expected);
        }
    }

    #[test]
    fn addresses_that_are_no_functions() {
        let local = 0;
        assert!(!look_up((&raw const local).addr()));
    }
}
