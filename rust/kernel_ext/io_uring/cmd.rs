// SPDX-License-Identifier: GPL-2.0

//! The command, from its issue until it is done.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    context::Task, //
};

/// The bytes that every command has for its own purposes.
pub const PAYLOAD: usize = 16;

/// What a command finds in its submission queue entry. User space may change the entry at any time,
/// so each field is read once; those that are not here must be 0.
pub(crate) struct Sqe {
    /// An address in user space, or in a registered buffer.
    pub(crate) addr: u64,
    /// In bytes.
    pub(crate) len: u32,
    pub(crate) payload: [u8; PAYLOAD],
}

/// A command that is being issued: it is answered by the return value of `->uring_cmd`, unless it
/// is turned into a [`QueuedCmd`].
///
/// # Invariants
///
/// `cmd` is valid, and its file calls `->uring_cmd` for it in this task, with `flags`.
pub(crate) struct IssuedCmd<'a> {
    cmd: NonNull<bindings::io_uring_cmd>,
    flags: c_uint,
    _issue: PhantomData<&'a mut ()>,
}

impl IssuedCmd<'_> {
    /// # Safety
    ///
    /// To be used in `->uring_cmd` with its arguments, once.
    pub(crate) unsafe fn from_raw(cmd: NonNull<bindings::io_uring_cmd>, flags: c_uint) -> Self {
        // INVARIANT: Per the function's safety requirements.
        Self {
            cmd,
            flags,
            _issue: PhantomData,
        }
    }

    fn cmd(&self) -> &bindings::io_uring_cmd {
        // SAFETY: By the type invariant; nobody else writes to it during the call.
        unsafe { self.cmd.as_ref() }
    }

    /// Must the call not sleep for long? Those that are answered with `EAGAIN` are issued again,
    /// where it may.
    pub(crate) fn is_nonblock(&self) -> bool {
        self.flags & bindings::EXT_IO_URING_F_NONBLOCK != 0
    }

    /// Is the command going to be polled for?
    pub(crate) fn is_polled(&self) -> bool {
        self.flags & bindings::EXT_IO_URING_F_IOPOLL != 0
    }

    /// What is wanted.
    pub(crate) fn op(&self) -> u32 {
        self.cmd().cmd_op
    }

    /// The file that the command is for, as long as the command is not done.
    pub(crate) fn file(&self) -> *mut bindings::file {
        self.cmd().file
    }

    /// Reads the submission queue entry.
    ///
    /// # Errors
    ///
    /// `EINVAL` if something is set that commands have no use for.
    pub(crate) fn sqe(&self) -> Result<Sqe> {
        let (mut addr, mut len, mut file_index, mut words) = (0, 0, 0, [0; PAYLOAD / 8]);
        // SAFETY: The command is valid, and so is its entry during the call.
        unsafe {
            bindings::rnull_dio_io_uring_cmd_read_sqe(
                self.cmd.as_ptr(),
                &mut addr,
                &mut len,
                &mut file_index,
                words.as_mut_ptr(),
            )
        };
        let unused = bindings::EXT_IORING_URING_CMD_MASK & !bindings::EXT_IORING_URING_CMD_FIXED;
        if file_index != 0 || self.cmd().flags & unused != 0 {
            return Err(EINVAL);
        }
        let mut payload = [0; PAYLOAD];
        payload.copy_from_slice(words.map(u64::to_ne_bytes).as_flattened());
        Ok(Sqe { addr, len, payload })
    }

    /// Sets `iter` up for the memory that `sqe` is about, to write to it from a file (`ITER_SOURCE`)
    /// or to read into it (`ITER_DEST`). Longer memory than a request can have is cut.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it is not the user's, or not in the registered buffer.
    pub(crate) fn import(
        &self,
        sqe: &Sqe,
        direction: c_uint,
        iter: &Opaque<bindings::iov_iter>,
    ) -> Result {
        // CAST: A direction is 0 or 1.
        let (direction, len) = (direction as c_int, sqe.len as usize);
        let (cmd, iter) = (self.cmd.as_ptr(), iter.get());
        if self.cmd().flags & bindings::EXT_IORING_URING_CMD_FIXED == 0 {
            // CAST: Addresses have 64 bits.
            let addr = sqe.addr as usize as *mut c_void;
            // SAFETY: The iterator is valid for writes; the address is checked.
            return to_result(unsafe { bindings::import_ubuf(direction, addr, len, iter) });
        }
        // SAFETY: The command is being issued with these flags, and keeps the buffer until it is
        // done. The iterator is valid for writes.
        to_result(unsafe {
            bindings::io_uring_cmd_import_fixed(sqe.addr, len, direction, iter, cmd, self.flags)
        })
    }

    /// Takes over to answer the command later. `private` is what finds the request again, given the
    /// command: [`private`].
    ///
    /// `->uring_cmd` then returns `EIOCBQUEUED` or, if the object is [forgotten](QueuedCmd::forget)
    /// unused, the result.
    pub(crate) fn queue<T>(self, private: NonNull<T>) -> QueuedCmd {
        // SAFETY: By the type invariant; the area is for the file's use.
        unsafe { *private_area(self.cmd) = private.as_ptr() };
        // INVARIANT: The duty is the new object's.
        QueuedCmd(self.cmd)
    }
}

/// The part of a command that its file may use.
fn private_area<T>(cmd: NonNull<bindings::io_uring_cmd>) -> *mut *mut T {
    const {
        let offset = core::mem::offset_of!(bindings::io_uring_cmd, pdu);
        assert!(offset % align_of::<*mut T>() == 0);
    }
    // SAFETY: The field lies in the object.
    unsafe { (&raw mut (*cmd.as_ptr()).pdu).cast() }
}

/// Returns what was passed to [`IssuedCmd::queue`].
///
/// # Safety
///
/// The command must be valid, and have been queued.
pub(crate) unsafe fn private<T>(cmd: NonNull<bindings::io_uring_cmd>) -> NonNull<T> {
    // SAFETY: Per the function's safety requirements; it was not null.
    unsafe { NonNull::new_unchecked(*private_area(cmd)) }
}

/// Who does what is left when a queued command has come to its end.
pub(crate) trait Finish {
    /// Called in the command's task, or in a kernel thread if that has gone. Returns the result.
    ///
    /// # Safety
    ///
    /// The request must be what [`IssuedCmd::queue`] was given; it is given up by the caller.
    unsafe fn finish(request: NonNull<Self>, task: &Task) -> i32;
}

/// The duty to answer a command.
///
/// # Invariants
///
/// The command is valid until it is answered, and nobody else answers it.
pub(crate) struct QueuedCmd(NonNull<bindings::io_uring_cmd>);

// SAFETY: A command may be answered in any context.
unsafe impl Send for QueuedCmd {}

impl QueuedCmd {
    /// Has a task call [`Finish::finish`] and answers the command with what that returns. Any
    /// context.
    ///
    /// Polled commands go the same way: whoever finds that one has ended may be polling for another
    /// ring, and only this one's task has the lock that keeps its pollers away.
    ///
    /// # Safety
    ///
    /// The object passed to [`IssuedCmd::queue`] must be a `T`.
    pub(crate) unsafe fn finish_in_task<T: Finish>(self) {
        let cmd = ManuallyDrop::new(self).0.as_ptr();
        // SAFETY: By the type invariant. Each command posts one completion, which is what is asked
        // of those who let io_uring gather some before it wakes the waiter.
        unsafe {
            bindings::__io_uring_cmd_do_in_task(
                cmd,
                Some(finish::<T>),
                bindings::EXT_IOU_F_TWQ_LAZY_WAKE,
            )
        };
    }

    /// Gives up the duty, for `->uring_cmd` to return the result.
    pub(crate) fn forget(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for QueuedCmd {
    fn drop(&mut self) {
        pr_err!("BUG: a command was dropped by its owner\n");
    }
}

/// # Safety
///
/// For io_uring to call, once, for a command that [`QueuedCmd::finish_in_task`] was called for.
unsafe extern "C" fn finish<T: Finish>(
    tw_req: bindings::io_tw_req,
    _token: bindings::io_tw_token_t,
) {
    // SAFETY: io_uring passes the request of the command. What was queued is ours to give up.
    unsafe {
        let cmd = NonNull::new_unchecked(bindings::rnull_dio_io_uring_cmd_from_tw(tw_req));
        let ret = T::finish(private(cmd), &Task::new());
        // These are the flags that io_uring wants from this place.
        let flags = bindings::EXT_IO_URING_CMD_TASK_WORK_ISSUE_FLAGS;
        bindings::__io_uring_cmd_done(cmd.as_ptr(), ret, 0, flags, false);
    }
}
