// SPDX-License-Identifier: GPL-2.0

//! Classifying the issuer of a kiocb by its completion function: whether it can run deferred
//! completions, and who drops the write count of the super block.

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
pub(super) enum Issuer {
    /// An issuer that takes nothing but the result.
    Plain,
    /// io_uring, on behalf of this task, which can run the rest of the completion by task work. It
    /// takes the write count of the super block for each write, and drops it when it gets the
    /// result if `IOCB_WRITE` is set then.
    ///
    /// The task exists until the request has been completed, because io_uring holds a reference to
    /// it for each request.
    IoUring(NonNull<bindings::task_struct>),
    /// io_uring, by a ring whose owner polls. As for the write count, like
    /// [`IoUring`](Self::IoUring).
    IoUringPoll,
    /// io_uring, in a kernel that has `kiocb->dio_complete`.
    Native,
    /// A [`DeferringKiocb`] of this module, which drops its write count itself.
    Deferring,
    /// As [`Deferring`](Self::Deferring), and the issuer runs completions only in a task that waits
    /// for nothing but results. Its requests may be handed over while they are counted.
    Waiting,
}

impl Issuer {
    /// Classifies the issuer of `iocb`, in the context of its submission.
    #[inline]
    pub(super) fn of(iocb: &bindings::kiocb) -> Self {
        let Some(ki_complete) = iocb.ki_complete else {
            return Self::Plain;
        };
        if DeferringKiocb::is(iocb) {
            return if DeferringKiocb::is_waiting(iocb) {
                Self::Waiting
            } else {
                Self::Deferring
            };
        }
        // A stacked file system copies flags from kiocb to kiocb, but not completion functions.
        match Function::of(ki_complete as usize) {
            Function::Other => Self::Plain,
            Function::IoUringPoll => Self::IoUringPoll,
            // SAFETY: The kiocb is valid.
            Function::IoUring if unsafe { bindings::ext_iocb_defers(iocb) } => Self::Native,
            Function::IoUring => Self::of_current(),
        }
    }

    /// As [`of`](Self::of), for a request that stays counted: only an issuer that waits matters.
    #[inline]
    pub(super) fn of_counted(iocb: &bindings::kiocb) -> Self {
        if DeferringKiocb::is_waiting(iocb) {
            Self::Waiting
        } else {
            Self::Plain
        }
    }

    /// Returns whether requests of this issuer may be polled for. A polled request that has ended
    /// waits for a poller, which may be sleeping until the request's write count is dropped. So the
    /// count must be one that [`DioKiocb::end_write`](super::DioKiocb::end_write) drops.
    #[inline]
    pub(super) fn may_poll(self) -> bool {
        matches!(self, Self::IoUringPoll | Self::Deferring)
    }

    /// Classifies a request of io_uring by the current task.
    #[inline]
    fn of_current() -> Self {
        /// io_uring's threads run task work of their own requests only, and kernel threads never
        /// return to user space.
        const NEVER: u32 = bindings::PF_KTHREAD
            | bindings::PF_USER_WORKER
            | bindings::PF_IO_WORKER
            | bindings::PF_EXITING;
        let task = current!().as_ptr();
        // SAFETY: The current task is valid, and only the task itself changes these flags.
        if unsafe { (*task).flags } & NEVER != 0 {
            return Self::Plain;
        }
        NonNull::new(task).map_or(Self::Plain, Self::IoUring)
    }
}

/// The kind of a completion function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Function {
    /// io_uring's, for requests that are not polled for.
    IoUring,
    /// io_uring's, for requests that are polled for.
    IoUringPoll,
    /// Any other.
    Other,
}

/// The addresses of io_uring's completion functions, once they are known.
static IO_URING: Atomic<usize> = Atomic::new(0);
static IO_URING_POLL: Atomic<usize> = Atomic::new(0);
/// Other completion functions that were looked up. If there are more than slots, they replace each
/// other.
static OTHERS: [Atomic<usize>; 8] = [const { Atomic::new(0) }; 8];
static NEXT: Atomic<usize> = Atomic::new(0);

impl Function {
    #[inline]
    fn of(address: usize) -> Self {
        if address == IO_URING.load(Relaxed) {
            Self::IoUring
        } else if address == IO_URING_POLL.load(Relaxed) {
            Self::IoUringPoll
        } else if OTHERS.iter().any(|other| address == other.load(Relaxed)) {
            Self::Other
        } else {
            Self::look_up(address)
        }
    }

    /// Looks up a function by the symbol at its address, because the kernel does not export
    /// io_uring's functions to modules.
    #[cold]
    fn look_up(address: usize) -> Self {
        let mut buf = [0; bindings::EXT_KSYM_SYMBOL_LEN];
        // SAFETY: The buffer has the size that the function expects.
        unsafe { bindings::sprint_symbol_no_offset(buf.as_mut_ptr().cast(), address) };
        let name = CStr::from_bytes_until_nul(&buf).map_or(&b""[..], CStr::to_bytes);
        let found = Self::of_name(name);
        let slot = match found {
            Self::IoUring => &IO_URING,
            Self::IoUringPoll => &IO_URING_POLL,
            Self::Other => &OTHERS[NEXT.fetch_add(1, Relaxed) % OTHERS.len()],
        };
        slot.store(address, Relaxed);
        found
    }

    /// Compilers may add a suffix. The name of a module's function is followed by that of the
    /// module.
    fn of_name(name: &[u8]) -> Self {
        if name.contains(&b'[') {
            return Self::Other;
        }
        match name.split(|&c| c == b'.').next() {
            Some(b"io_complete_rw") => Self::IoUring,
            Some(b"io_complete_rw_iopoll") => Self::IoUringPoll,
            _ => Self::Other,
        }
    }
}

#[kunit_tests(rnull_dio_issuer)]
mod tests {
    use super::*;

    #[test]
    fn symbols_name_the_kinds_of_functions() {
        for (name, expected) in [
            (&b"io_complete_rw"[..], Function::IoUring),
            (b"io_complete_rw.llvm.123", Function::IoUring),
            (b"io_complete_rw_iopoll", Function::IoUringPoll),
            (b"io_complete_rw_iopoll.isra.0", Function::IoUringPoll),
            (b"io_complete_rw_common", Function::Other),
            (b"io_complete_rw [fake]", Function::Other),
            (b"io_complete_rw.x [fake]", Function::Other),
            (b"io_complete_rw_iopoll [fake]", Function::Other),
            (b"aio_complete_rw", Function::Other),
            (b"backing_aio_rw_complete", Function::Other),
            (b"0xffffffff81000000", Function::Other),
            (b"", Function::Other),
        ] {
            assert_eq!(Function::of_name(name), expected);
        }
    }

    #[test]
    fn other_functions_are_looked_up_once() {
        let locals = [0u8; 4];
        for local in &locals {
            let address = (&raw const *local).addr();
            assert_eq!(Function::of(address), Function::Other);
        }
        // All of them are still known.
        for local in &locals {
            let address = (&raw const *local).addr();
            assert!(OTHERS.iter().any(|other| other.load(Relaxed) == address));
        }
    }
}
