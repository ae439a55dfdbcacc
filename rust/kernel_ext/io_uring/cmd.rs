// SPDX-License-Identifier: GPL-2.0

//! A command from its issue to its answer.

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
    context::MaySleep, //
};

/// The size of a command's payload in bytes.
pub const PAYLOAD: usize = 16;

/// The fields of a command's submission queue entry. User space may change the entry at any time,
/// so each field is read once. Fields that are not here must be 0.
pub(crate) struct Sqe {
    /// An address in user space, or in a registered buffer.
    pub(crate) addr: u64,
    /// The length of the memory in bytes.
    pub(crate) len: u32,
    /// The command's payload.
    pub(crate) payload: [u8; PAYLOAD],
}

/// A command that is being issued. The return value of `->uring_cmd` answers it, unless it is
/// turned into a [`QueuedCmd`]. `R` is what commands of its file are queued with.
///
/// # Invariants
///
/// `cmd` is valid, its file calls `->uring_cmd` for it in this task, with `flags`, and commands of
/// its file are queued with objects of type `R` only.
pub struct IssuedCmd<'a, R> {
    cmd: NonNull<bindings::io_uring_cmd>,
    flags: c_uint,
    _p: PhantomData<&'a mut R>,
}

impl<R: QueuedRequest> IssuedCmd<'_, R> {
    /// # Safety
    ///
    /// To be used in `->uring_cmd` with its arguments, once, always with the same `R` for a file.
    pub(crate) unsafe fn from_raw(cmd: NonNull<bindings::io_uring_cmd>, flags: c_uint) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            cmd,
            flags,
            _p: PhantomData,
        }
    }

    fn cmd(&self) -> &bindings::io_uring_cmd {
        // SAFETY: By the type invariant; io_uring does not write to it during the call.
        unsafe { self.cmd.as_ref() }
    }

    /// Returns whether the call must not sleep. io_uring issues a command that is answered by
    /// `EAGAIN` again, where it may sleep.
    pub(crate) fn is_nonblock(&self) -> bool {
        self.flags & bindings::EXT_IO_URING_F_NONBLOCK != 0
    }

    /// Returns whether the command will be polled for.
    pub(crate) fn is_polled(&self) -> bool {
        self.flags & bindings::EXT_IO_URING_F_IOPOLL != 0
    }

    /// Returns the number of the operation.
    pub(crate) fn op(&self) -> u32 {
        self.cmd().cmd_op
    }

    /// Returns the file of the command, which is valid until the command is answered.
    pub(crate) fn file(&self) -> *mut bindings::file {
        self.cmd().file
    }

    /// Reads the submission queue entry.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a field is set that commands do not use.
    pub(crate) fn sqe(&self) -> Result<Sqe> {
        let (mut addr, mut len, mut file_index, mut words) = (0, 0, 0, [0; PAYLOAD / 8]);
        // SAFETY: The command is valid, and so is its entry during the call.
        unsafe {
            bindings::ext_io_uring_cmd_read_sqe(
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

    /// Sets up `iter` for the memory of `sqe`: to write from it to a file (`ITER_SOURCE`), or to
    /// read into it (`ITER_DEST`). Memory that is longer than the kernel's limit for a request is
    /// cut to that.
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
        // CAST: A direction is 0 or 1; a length has 32 bits.
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

    /// Takes over the duty to answer the command later. `request` is passed to
    /// [`QueuedRequest::finish`], and found by [`PolledCmd::request`].
    ///
    /// `->uring_cmd` then returns `EIOCBQUEUED` or, if the object is [forgotten](QueuedCmd::forget)
    /// unused, the result.
    pub(crate) fn queue(self, request: NonNull<R>) -> QueuedCmd<R> {
        // SAFETY: By the type invariant; the area is for the file's use.
        unsafe { *private_area(self.cmd) = request.as_ptr() };
        // INVARIANT: The duty is the new object's. The area has just been set.
        QueuedCmd(self.cmd, PhantomData)
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

/// A request that a command is queued with, to be finished in a task when it has ended.
pub trait QueuedRequest {
    /// Finishes the request, and returns the result for the command. Called in the command's task,
    /// or in a kernel thread if the task is gone.
    ///
    /// # Safety
    ///
    /// `request` must be what [`IssuedCmd::queue`] was given; the caller gives it up.
    unsafe fn finish(request: NonNull<Self>, ctx: &MaySleep) -> i32;
}

/// The duty to answer a command.
///
/// # Invariants
///
/// The command is valid until it is answered, which is the duty of this object alone. Its private
/// area has the request of type `R` that it was queued with.
pub(crate) struct QueuedCmd<R>(NonNull<bindings::io_uring_cmd>, PhantomData<fn(R)>);

// SAFETY: A command may be answered in any context.
unsafe impl<R> Send for QueuedCmd<R> {}

impl<R: QueuedRequest> QueuedCmd<R> {
    /// Queues a call of [`QueuedRequest::finish`] in a task, which answers the command with its
    /// result. Any context.
    ///
    /// Polled commands go the same way, because the task that finds a command to have ended may be
    /// polling for another ring, and only a task of this ring has the lock that excludes pollers.
    ///
    /// # Safety
    ///
    /// The caller must give up the request that the command was queued with.
    pub(crate) unsafe fn finish_in_task(self) {
        let cmd = ManuallyDrop::new(self).0.as_ptr();
        // SAFETY: By the type invariant. Each command posts one completion, which io_uring requires
        // for this flag: it may then collect some before it wakes the waiter.
        unsafe {
            bindings::__io_uring_cmd_do_in_task(
                cmd,
                Some(finish::<R>),
                bindings::EXT_IOU_F_TWQ_LAZY_WAKE,
            )
        };
    }

    /// Gives up the duty, so that `->uring_cmd` returns the result.
    pub(crate) fn forget(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl<R> Drop for QueuedCmd<R> {
    fn drop(&mut self) {
        pr_err!("BUG: a command was dropped without being answered\n");
    }
}

/// # Safety
///
/// For io_uring to call, once, for a command that [`QueuedCmd::finish_in_task`] was called for.
unsafe extern "C" fn finish<R: QueuedRequest>(
    tw_req: bindings::io_tw_req,
    _token: bindings::io_tw_token_t,
) {
    // SAFETY: io_uring passes the request of the command. `finish_in_task` has left the request
    // that it was queued with for this call.
    unsafe {
        let cmd = NonNull::new_unchecked(bindings::ext_io_uring_cmd_from_tw(tw_req));
        let request = NonNull::new_unchecked(*private_area::<R>(cmd));
        let ret = R::finish(request, &MaySleep::new());
        // Task work has to pass these flags.
        let flags = bindings::EXT_IO_URING_CMD_TASK_WORK_ISSUE_FLAGS;
        bindings::__io_uring_cmd_done(cmd.as_ptr(), ret, 0, flags, false);
    }
}

/// A command that is polled for: it was queued, and its end has not been seen.
///
/// # Invariants
///
/// The command is valid for `'a`, and its private area has the request of type `R` that it was
/// queued with. Its ring is locked for `'a`, so that it is not answered.
pub struct PolledCmd<'a, R> {
    cmd: NonNull<bindings::io_uring_cmd>,
    _p: PhantomData<&'a R>,
}

impl<R: QueuedRequest> PolledCmd<'_, R> {
    /// # Safety
    ///
    /// To be used in `->uring_cmd_iopoll` with its argument, with the `R` that commands of the file
    /// are queued with.
    pub(crate) unsafe fn from_raw(cmd: NonNull<bindings::io_uring_cmd>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            cmd,
            _p: PhantomData,
        }
    }

    /// Returns the request that the command was queued with. Its owner frees it when the command is
    /// answered, so not before this object is gone.
    pub(crate) fn request(&self) -> NonNull<R> {
        // SAFETY: By the type invariant it was set, and not to null.
        unsafe { NonNull::new_unchecked(*private_area(self.cmd)) }
    }
}
