// SPDX-License-Identifier: GPL-2.0

//! Direct I/O by commands of io_uring, with kiocbs of this module.

use core::{
    cell::UnsafeCell,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    },
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
    deferring::{
        DeferringKiocb,
        Outcome, //
    },
    polled, //
};
use crate::{
    bindings,
    block::poll::PollCookie,
    context::MaySleep,
    fs::PolledKiocb,
    io_uring::{
        IssuedCmd,
        PolledCmd,
        QueuedCmd,
        QueuedRequest,
        PAYLOAD, //
    },
    iov::{
        Keeper,
        RawIovIter, //
    },
};

/// A transfer between the memory of a command and its file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Whether data goes to the file.
    pub write: bool,
    /// The position in the file, in bytes.
    pub pos: u64,
    /// Whether written data must be durable.
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
    fn iocb_flags(&self, cmd: &IssuedCmd<'_, Request>) -> Result<c_int> {
        // SAFETY: The file is valid as long as the command. Its flags may change at any time.
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

    /// Checks with the VFS, security modules and fsnotify that `len` bytes may be transferred. May
    /// sleep.
    fn verify(&self, cmd: &IssuedCmd<'_, Request>, len: usize) -> Result {
        // CAST: A direction is 0 or 1. A position that does not fit is negative, and is refused.
        let (direction, pos) = (self.direction() as c_int, self.pos as bindings::loff_t);
        // SAFETY: The file is valid as long as the command.
        to_result(unsafe { bindings::rw_verify_area(direction, cmd.file(), &pos, len) })
    }
}

/// The request of a command.
#[repr(C)]
pub struct Request {
    iocb: DeferringKiocb,
    write: bool,
    /// The duty to answer the command, once it is queued.
    cmd: UnsafeCell<Option<QueuedCmd<Self>>>,
    /// The outcome of the request, once it has ended.
    outcome: UnsafeCell<Option<Outcome>>,
}

/// A request that is not in flight: not yet, or no longer.
///
/// # Invariants
///
/// The pointer is a request in a box, which is exclusively ours.
struct IdleRequest(NonNull<Request>);

impl IdleRequest {
    /// Creates a request, with a write count of the super block if it is a write. Sleeps, unless
    /// `flags` forbid it.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if it would sleep and must not, because the file system is frozen; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `file` must stay valid as long as the request.
    unsafe fn new(file: *mut bindings::file, pos: u64, flags: c_int) -> Result<Self> {
        // SAFETY: By the safety requirements of this function. CAST: A position that does not fit
        // was refused.
        let iocb = unsafe {
            DeferringKiocb::new(file, pos as bindings::loff_t, flags, false, Request::ended)
        };
        let mut request = KBox::new(
            Request {
                iocb,
                // CAST: A bit of an int.
                write: flags & bindings::IOCB_WRITE as c_int != 0,
                cmd: UnsafeCell::new(None),
                outcome: UnsafeCell::new(None),
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The kiocb is ours.
        unsafe { (*request.iocb.as_raw()).ki_ioprio = bindings::ext_get_current_ioprio() };
        if request.write && !request.iocb.start_write() {
            return Err(EAGAIN);
        }
        // INVARIANT: It has just been taken out of its box.
        Ok(Self(NonNull::from(KBox::leak(request))))
    }

    fn request(&self) -> &Request {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }

    /// Passes the request to the file of `cmd`. Returns the result, or `EIOCBQUEUED`.
    ///
    /// # Safety
    ///
    /// The request's file must be that of the command. `iter` must be valid, and made for the
    /// request's direction.
    unsafe fn submit(
        self,
        cmd: IssuedCmd<'_, Request>,
        iter: &Opaque<bindings::iov_iter>,
    ) -> isize {
        // SAFETY: The file is valid, and so are its operations.
        let fop = unsafe { &*(*cmd.file()).f_op };
        let submit = if self.request().write {
            fop.write_iter
        } else {
            fop.read_iter
        };
        let Some(submit) = submit else {
            return EINVAL.to_errno() as isize;
        };
        let iocb = self.request().iocb.as_raw();
        let cmd = cmd.queue(self.0);
        // The request may end at any time once it has been submitted.
        // SAFETY: By the type invariant.
        unsafe { *self.request().cmd.get() = Some(cmd) };
        let this = ManuallyDrop::new(self);
        // SAFETY: The operation is one of the kiocb's file, and by the safety requirements of this
        // function. If the request is queued, it is not accessed after this.
        let ret = unsafe { submit(iocb, iter.get()) };
        if ret != EIOCBQUEUED.to_errno() as isize {
            // INVARIANT: It has not been queued, so it is ours again.
            ManuallyDrop::into_inner(this).answered(ret);
        }
        ret
    }

    /// Ends a request that was not queued, with the result `ret`. The return value of `->uring_cmd`
    /// answers the command.
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
    /// Drops the write count, if it is held. Any context.
    fn end_write(&self) {
        // SAFETY: It is the kiocb of such an object, which is not in flight.
        unsafe { DeferringKiocb::end_write(self.iocb.as_raw()) };
    }

    /// Notifies the watchers of the file that `ret` bytes were transferred. In a task.
    fn notify(&self, ret: isize) {
        if ret > 0 {
            // SAFETY: The file is valid until the command is answered.
            unsafe {
                let file = (*self.iocb.as_raw()).ki_filp;
                bindings::ext_fsnotify_transfer(file, self.write);
            }
        }
    }

    /// Called at the end of the request. Any context.
    fn ended(iocb: NonNull<DeferringKiocb>, outcome: Outcome) {
        // SAFETY: It is the first field of a request, which is ours again.
        let this = unsafe { iocb.cast::<Self>().as_ref() };
        // Not in the task, because that may be freezing the file system and wait for this count.
        this.end_write();
        // SAFETY: As above.
        let cmd = unsafe {
            *this.outcome.get() = Some(outcome);
            (*this.cmd.get()).take()
        };
        if let Some(cmd) = cmd {
            // SAFETY: The request is given up.
            unsafe { cmd.finish_in_task() };
        }
    }
}

impl QueuedRequest for Request {
    unsafe fn finish(request: NonNull<Self>, ctx: &MaySleep) -> i32 {
        // SAFETY: By the safety requirements of this function; the request has ended.
        let outcome = unsafe { (*request.as_ref().outcome.get()).take() };
        let ret = match outcome {
            Some(Outcome::Done(ret)) => ret,
            // The request must stay until the completion has been run.
            Some(Outcome::Deferred(deferred)) => deferred.run(ctx),
            None => EIO.to_errno() as isize,
        };
        // SAFETY: The request is over, and was in a box.
        let request = unsafe { KBox::from_raw(request.as_ptr()) };
        request.notify(ret);
        // CAST: No request is longer than `MAX_RW_COUNT`, which fits.
        ret as i32
    }
}

/// Carries out a command as the direct I/O that `decode` returns for its number and payload. May
/// sleep.
///
/// Returns the result for `->uring_cmd` to return; `EIOCBQUEUED` if the command is answered later.
///
/// # Errors
///
/// Those of `decode` and of the file, and
///
/// - `EBADF`: the file is not open for this direction.
/// - `EINVAL`: the file is not open for direct I/O, or the position is invalid.
/// - `EFAULT`: the memory cannot be accessed.
/// - `EAGAIN`: the call would sleep, and must not.
pub fn issue(
    cmd: IssuedCmd<'_, Request>,
    decode: impl FnOnce(u32, &[u8; PAYLOAD]) -> Result<Transfer>,
) -> Result<c_int> {
    let sqe = cmd.sqe()?;
    let transfer = decode(cmd.op(), &sqe.payload)?;
    let flags = transfer.iocb_flags(&cmd)?;
    let iter = Opaque::uninit();
    cmd.import(&sqe, transfer.direction(), &iter)?;
    // SAFETY: It has just been set up, and stays for the call. Its memory is not used.
    let len = unsafe { RawIovIter::from_raw(iter.get(), Keeper(ptr::null())) }.len();
    transfer.verify(&cmd, len)?;
    // SAFETY: The file is valid as long as the command, which is answered after the request.
    let request = unsafe { IdleRequest::new(cmd.file(), transfer.pos, flags)? };
    // SAFETY: As above; the iterator was set up for that direction.
    let ret = unsafe { request.submit(cmd, &iter) };
    // CAST: No request is longer than `MAX_RW_COUNT`, which fits.
    Ok(ret as c_int)
}

/// Returns where to poll for the request of a command, see [`poll_cookie`](super::poll_cookie).
pub fn poll_cookie(cmd: &PolledCmd<'_, Request>) -> Option<PollCookie> {
    // SAFETY: The request is freed when the command is answered, which is not before `cmd` is gone.
    // Its kiocb is one that its issuer polls for.
    polled::poll_cookie(&unsafe {
        let iocb = cmd.request().as_ref().iocb.as_raw();
        PolledKiocb::from_raw(NonNull::new_unchecked(iocb))
    })
}
