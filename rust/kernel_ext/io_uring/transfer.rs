// SPDX-License-Identifier: GPL-2.0

//! Direct I/O by commands.

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    error::{
        code::EIOCBQUEUED,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    types::Opaque, //
};

use super::{
    cmd::{
        self,
        Finish, //
    },
    IssuedCmd,
    QueuedCmd,
    PAYLOAD, //
};
use crate::{
    bindings,
    context::Task,
    fs::{
        deferring::{
            DeferringKiocb,
            Outcome, //
        },
        kiocb::{
            self,
            PollCookie, //
        },
    },
    iov::IovIter, //
};

/// What a command wants to be done with the memory that it comes with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Does it write to the file?
    pub write: bool,
    /// Where in the file, in bytes.
    pub pos: u64,
    /// Must written data be durable?
    pub dsync: bool,
}

impl Transfer {
    fn direction(&self) -> u32 {
        if self.write {
            bindings::ITER_SOURCE
        } else {
            bindings::ITER_DEST
        }
    }

    /// Checks how `file` was opened, and returns the flags for the kiocb.
    fn iocb_flags(&self, cmd: &IssuedCmd<'_>) -> Result<c_int> {
        // SAFETY: The file is valid as long as the command. Others may change the flags.
        let (mode, flags) = unsafe {
            let file = cmd.file();
            (
                (*file).f_mode,
                (&raw const (*file).f_iocb_flags).read_volatile(),
            )
        };
        let needed = if self.write {
            bindings::EXT_FMODE_WRITE
        } else {
            bindings::EXT_FMODE_READ
        };
        if mode & needed == 0 {
            return Err(EBADF);
        }
        if flags & bindings::IOCB_DIRECT == 0 {
            return Err(EINVAL);
        }
        if cmd.is_nonblock() && mode & bindings::EXT_FMODE_NOWAIT == 0 {
            return Err(EAGAIN);
        }
        // CAST: The flags are bits of an int.
        let mut flags = flags as c_int;
        for (wanted, flag) in [
            (self.write, bindings::IOCB_WRITE as c_int),
            (self.dsync, bindings::EXT_IOCB_DSYNC),
            (cmd.is_polled(), bindings::EXT_IOCB_HIPRI),
            (cmd.is_nonblock(), bindings::EXT_IOCB_NOWAIT),
        ] {
            if wanted {
                flags |= flag;
            }
        }
        Ok(flags)
    }

    /// Asks whoever has a say in it whether `len` bytes may be transferred. May sleep.
    fn verify(&self, cmd: &IssuedCmd<'_>, len: usize) -> Result {
        // CAST: A direction is 0 or 1. A position that does not fit is negative, and is refused.
        let (direction, pos) = (self.direction() as c_int, self.pos as bindings::loff_t);
        // SAFETY: The file is valid as long as the command.
        to_result(unsafe { bindings::rw_verify_area(direction, cmd.file(), &pos, len) })
    }
}

/// A request that a command has made.
#[repr(C)]
struct Request {
    iocb: DeferringKiocb,
    /// The duty to answer the command, once it is queued.
    cmd: UnsafeCell<Option<QueuedCmd>>,
    /// What the request has come to, once that is known.
    outcome: UnsafeCell<Option<Outcome>>,
}

/// A request that is not under way: not yet, or no more.
///
/// # Invariants
///
/// The pointer is a request in a box, which is exclusively ours. The write count of the super block
/// is held if and only if this is a write.
struct IdleRequest(NonNull<Request>);

impl IdleRequest {
    /// Sleeps, unless `flags` forbid it.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not, as for a file system that is frozen; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `file` must stay valid as long as the request.
    unsafe fn new(file: *mut bindings::file, pos: u64, flags: c_int) -> Result<Self> {
        // SAFETY: Per the function's safety requirements. CAST: What does not fit was refused.
        let iocb =
            unsafe { DeferringKiocb::new(file, pos as bindings::loff_t, flags, Request::ended) };
        let request = KBox::new(
            Request {
                iocb,
                cmd: UnsafeCell::new(None),
                outcome: UnsafeCell::new(None),
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The kiocb is ours, and its file valid.
        unsafe {
            let iocb = request.iocb.as_ptr();
            (*iocb).ki_ioprio = bindings::rnull_dio_get_current_ioprio();
            if request.is_write() && !bindings::rnull_dio_kiocb_start_write(iocb) {
                return Err(EAGAIN);
            }
        }
        // INVARIANT: It is a write whose count has just been taken, or no write.
        Ok(Self(NonNull::from(KBox::leak(request))))
    }

    fn request(&self) -> &Request {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Passes the request to the file that `cmd` is for. Returns the result, or `EIOCBQUEUED`.
    ///
    /// # Safety
    ///
    /// The request's file must be that of the command. `iter` must be valid, and made for the
    /// request's direction.
    unsafe fn submit(self, cmd: IssuedCmd<'_>, iter: &Opaque<bindings::iov_iter>) -> isize {
        // SAFETY: The file is valid, and so are its operations.
        let fop = unsafe { &*(*cmd.file()).f_op };
        let submit = if self.request().is_write() {
            fop.write_iter
        } else {
            fop.read_iter
        };
        let Some(submit) = submit else {
            return EINVAL.to_errno() as isize;
        };
        let iocb = self.request().iocb.as_ptr();
        let cmd = cmd.queue(self.0);
        // The request may end at any time from here on.
        // SAFETY: By the type invariant.
        unsafe { *self.request().cmd.get() = Some(cmd) };
        let this = ManuallyDrop::new(self);
        // SAFETY: The operation is one of the kiocb's file, and per the function's safety
        // requirements. If the request is queued, it is not touched after this.
        let ret = unsafe { submit(iocb, iter.get()) };
        if ret != EIOCBQUEUED.to_errno() as isize {
            // INVARIANT: It has not been queued, so it is ours again.
            ManuallyDrop::into_inner(this).answered(ret);
        }
        ret
    }

    /// The request has come to `ret`, and so has the command.
    fn answered(self, ret: isize) {
        // SAFETY: By the type invariant.
        if let Some(cmd) = unsafe { (*self.request().cmd.get()).take() } {
            cmd.forget();
        }
        self.request().notify(ret);
    }
}

impl Drop for IdleRequest {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        let request = unsafe { KBox::from_raw(self.0.as_ptr()) };
        request.end_write();
    }
}

impl Request {
    fn is_write(&self) -> bool {
        // SAFETY: The flags are not changed. CAST: They are bits of an int.
        unsafe { (*self.iocb.as_ptr()).ki_flags & bindings::IOCB_WRITE as c_int != 0 }
    }

    /// Drops the write count, if there is one.
    fn end_write(&self) {
        if self.is_write() {
            // SAFETY: Its creator took it, and this is called once.
            unsafe { bindings::rnull_dio_kiocb_end_write(self.iocb.as_ptr()) };
        }
    }

    /// Tells those who watch the file that the request has come to `ret`. In a task.
    fn notify(&self, ret: isize) {
        if ret > 0 {
            // SAFETY: The file is valid until the command is done.
            unsafe {
                let file = (*self.iocb.as_ptr()).ki_filp;
                bindings::rnull_dio_fsnotify_transfer(file, self.is_write());
            }
        }
    }

    /// Called at the end of the request. Any context.
    fn ended(iocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // SAFETY: It is the first field of a request, which is ours again.
        let this = unsafe { iocb.cast::<Self>().as_ref() };
        // Not in the task: it may be freezing the file system, and waiting for us there.
        this.end_write();
        // SAFETY: As above.
        let cmd = unsafe {
            *this.outcome.get() = Some(outcome);
            (*this.cmd.get()).take()
        };
        if let Some(cmd) = cmd {
            // SAFETY: It was queued with this request.
            unsafe { cmd.finish_in_task::<Self>() };
        }
    }
}

impl Finish for Request {
    unsafe fn finish(request: NonNull<Self>, task: &Task) -> i32 {
        // SAFETY: Per the function's safety requirements; the request has ended.
        let outcome = unsafe { (*request.as_ref().outcome.get()).take() };
        let ret = match outcome {
            Some(Outcome::Done(ret)) => ret,
            // The request is needed for that.
            Some(Outcome::Deferred(deferred)) => deferred.run(task),
            None => EIO.to_errno() as isize,
        };
        // SAFETY: The request is over, and was in a box.
        let request = unsafe { KBox::from_raw(request.as_ptr()) };
        request.notify(ret);
        // CAST: No request is longer than `MAX_RW_COUNT`, which fits.
        ret as i32
    }
}

/// Carries out a command as `decode` tells from its number and payload. May sleep.
///
/// Returns the result for `->uring_cmd` to return; `EIOCBQUEUED` if it is told later.
///
/// # Errors
///
/// What `decode` or the file returns, and
///
/// - `EBADF`: the file is not open for that.
/// - `EINVAL`: it is not open for direct I/O, or the position is none.
/// - `EFAULT`: the memory is not there.
/// - `EAGAIN`: this would sleep, and must not.
pub(crate) fn issue(
    cmd: IssuedCmd<'_>,
    decode: impl FnOnce(u32, &[u8; PAYLOAD]) -> Result<Transfer>,
) -> Result<c_int> {
    let sqe = cmd.sqe()?;
    let transfer = decode(cmd.op(), &sqe.payload)?;
    let flags = transfer.iocb_flags(&cmd)?;
    let iter = Opaque::uninit();
    cmd.import(&sqe, transfer.direction(), &iter)?;
    // SAFETY: It has just been set up.
    let len = unsafe { IovIter::from_raw(iter.get()) }.len();
    transfer.verify(&cmd, len)?;
    // SAFETY: The file is valid as long as the command, which is not done before the request.
    let request = unsafe { IdleRequest::new(cmd.file(), transfer.pos, flags)? };
    // SAFETY: As above; the iterator was set up for that direction.
    let ret = unsafe { request.submit(cmd, &iter) };
    // CAST: No request is longer than `MAX_RW_COUNT`, which fits.
    Ok(ret as c_int)
}

/// Where to poll for the request of a command, if it has got as far as that.
///
/// # Safety
///
/// `cmd` must be one that [`issue`] has queued, and not be done. Its ring must be locked, as it is
/// for `->uring_cmd_iopoll`, so that it is not done meanwhile.
pub(crate) unsafe fn poll_cookie(cmd: NonNull<bindings::io_uring_cmd>) -> Option<PollCookie> {
    // SAFETY: Per the function's safety requirements; the request is freed when the command is done,
    // which takes the lock.
    unsafe {
        let request = cmd::private::<Request>(cmd);
        kiocb::poll_cookie(request.as_ref().iocb.as_ptr())
    }
}
