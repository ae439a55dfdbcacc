// SPDX-License-Identifier: GPL-2.0

//! The system calls of AIO, redirected.
//!
//! While an [`Interception`] exists, each of the kernel's functions for the six system calls of
//! 64-bit programs is redirected to a trampoline, which passes the call to [`SystemCalls`]. What
//! that does not take goes on in the kernel's function, as if nothing had been.

use core::marker::PhantomPinned;

use kernel::{
    error::to_result,
    ffi::c_ulong,
    prelude::*,
    uaccess::UserPtr, //
};

use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
    fs::kiocb::to_ki_result,
    ftrace::{
        find_function,
        Redirect, //
    },
    percpu_ref::Counted,
};

/// A system call, with its arguments. A context is an address in user space.
#[derive(Clone, Copy)]
pub enum Call {
    /// `io_setup(2)`.
    Setup {
        /// How many requests the program wants to have under way.
        nr_events: u32,
        /// Where the address of the context goes.
        ctxp: UserPtr,
    },
    /// `io_destroy(2)`.
    Destroy {
        /// The context.
        ctx: usize,
    },
    /// `io_submit(2)`.
    Submit {
        /// The context.
        ctx: usize,
        /// The number of requests.
        nr: isize,
        /// An array of pointers to `struct iocb`.
        iocbpp: UserPtr,
    },
    /// `io_cancel(2)`.
    Cancel {
        /// The context.
        ctx: usize,
        /// A request.
        iocb: UserPtr,
    },
    /// `io_getevents(2)`.
    GetEvents(GetEvents),
    /// `io_pgetevents(2)`.
    PGetEvents(GetEvents, UserPtr),
}

/// The arguments that `io_getevents(2)` and `io_pgetevents(2)` have in common.
#[derive(Clone, Copy)]
pub struct GetEvents {
    /// The context.
    pub ctx: usize,
    /// How many results are waited for.
    pub min_nr: isize,
    /// How many there is room for.
    pub nr: isize,
    /// The room.
    pub events: UserPtr,
    /// A `struct __kernel_timespec`, or NULL.
    pub timeout: UserPtr,
}

impl Call {
    // Hot path: only the fields of one call are needed, and only in the function that it goes to.
    #[inline(always)]
    fn new(call: bindings::ext_aio_call, args: &[c_ulong; 6]) -> Option<Self> {
        // CAST: What is narrower is cut, as for C.
        let (ctx, nr) = (args[0], args[1] as isize);
        let user = |arg: usize| UserPtr::from_addr(args[arg]);
        let get_events = GetEvents {
            ctx,
            min_nr: nr,
            nr: args[2] as isize,
            events: user(3),
            timeout: user(4),
        };
        Some(match call {
            bindings::ext_aio_call_EXT_AIO_SETUP => Self::Setup {
                nr_events: args[0] as u32,
                ctxp: user(1),
            },
            bindings::ext_aio_call_EXT_AIO_DESTROY => Self::Destroy { ctx },
            bindings::ext_aio_call_EXT_AIO_SUBMIT => Self::Submit {
                ctx,
                nr,
                iocbpp: user(2),
            },
            bindings::ext_aio_call_EXT_AIO_CANCEL => Self::Cancel { ctx, iocb: user(1) },
            bindings::ext_aio_call_EXT_AIO_GETEVENTS => Self::GetEvents(get_events),
            bindings::ext_aio_call_EXT_AIO_PGETEVENTS => Self::PGetEvents(get_events, user(5)),
            _ => return None,
        })
    }
}

/// What gets the system calls.
pub trait SystemCalls: Send + Sync + Sized + 'static {
    /// Carries out a call, and returns its result; or returns `None` if the kernel has to do it,
    /// before anything of it has been done.
    fn call(&self, call: Call, io: &MayIo) -> Option<Result<usize>>;
}

/// The redirection of the system calls, until this is dropped. There is one.
///
/// The drop sleeps until no task is in [`SystemCalls::call`] any more.
pub struct Interception<T: SystemCalls> {
    redirects: KVec<Redirect>,
    inner: Pin<KBox<Inner<T>>>,
}

#[repr(C)]
struct Inner<T> {
    taker: bindings::ext_aio_taker,
    calls: Pin<KBox<Counted<T>>>,
    _pin: PhantomPinned,
}

// SAFETY: The taker only has the address of a function.
unsafe impl<T: Send + Sync> Send for Inner<T> {}

// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Inner<T> {}

impl<T: SystemCalls> Interception<T> {
    /// Redirects the system calls. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: this kernel cannot redirect functions, or find them by their names.
    /// - `ENOENT`: it has no AIO.
    /// - `EBUSY`: another user has redirected one of them.
    /// - `ENOMEM`.
    pub fn new(calls: impl PinInit<T, Error>) -> Result<Self> {
        let inner = KBox::pin(
            Inner {
                taker: bindings::ext_aio_taker {
                    call: Some(call::<T>),
                },
                calls: KBox::try_pin_init(Counted::new(calls), GFP_KERNEL)?,
                _pin: PhantomPinned,
            },
            GFP_KERNEL,
        )?;
        let redirects = KVec::with_capacity(CALLS, GFP_KERNEL)?;
        // SAFETY: The object does not move, and is unset before it is freed: by the drop of this.
        to_result(unsafe { bindings::ext_aio_set_taker((&raw const inner.taker).cast_mut()) })?;
        let mut this = Self { redirects, inner };
        for number in 0..CALLS {
            this.redirects.push(redirect(number)?, GFP_KERNEL)?;
        }
        Ok(this)
    }

    /// Returns what gets the calls.
    pub fn calls(&self) -> &T {
        &self.inner.calls
    }
}

/// The number of system calls.
const CALLS: usize = bindings::ext_aio_call_EXT_AIO_CALLS as usize;

/// Redirects one of them.
fn redirect(number: usize) -> Result<Redirect> {
    // CAST: It is small.
    let call = number as bindings::ext_aio_call;
    // SAFETY: The call is one of those of the table, whose strings end with a NUL.
    let name = unsafe { CStr::from_char_ptr(bindings::ext_aio_call_name(call)) };
    let function = find_function(name)?;
    // SAFETY: The trampoline is made for this function.
    unsafe { Redirect::new(function, bindings::ext_aio_trampoline(call)) }
}

impl<T: SystemCalls> Drop for Interception<T> {
    fn drop(&mut self) {
        // SAFETY: No requirements.
        unsafe { bindings::ext_aio_unset_taker() };
        self.inner.calls.kill(&MaySleep::new());
        self.redirects.clear();
        drop(LastTasks);
    }
}

/// What a module with contexts must drop when it is unloaded, after the last context has gone. The
/// drop sleeps until no task is in the code of the module any more on its way back from a call, from
/// the end of a request or from the release of a context.
pub struct LastTasks;

impl Drop for LastTasks {
    fn drop(&mut self) {
        // SAFETY: No requirements. A task that was preempted goes on before this returns; one in an
        // interrupt, too, because what waits for tasks waits for interrupts.
        unsafe {
            bindings::ext_synchronize_rcu_tasks();
            bindings::synchronize_rcu();
        }
    }
}

/// Has `taker` carry out a call.
///
/// # Safety
///
/// For the trampolines of the system calls, with the arguments of the latter, and a `taker` that is
/// in an [`Inner<T>`].
unsafe extern "C" fn call<T: SystemCalls>(
    call: bindings::ext_aio_call,
    args: *const c_ulong,
    taker: *mut bindings::ext_aio_taker,
) -> isize {
    // SAFETY: By the safety requirements of this function. It stays until this task sleeps, and from
    // the count of this user on until that is dropped.
    let (calls, args) = unsafe {
        let calls: *const Counted<T> = &*(*taker.cast::<Inner<T>>()).calls;
        (calls, &*args.cast::<[c_ulong; 6]>())
    };
    // SAFETY: As above.
    let users = unsafe { Counted::users_of(Counted::inner(calls)) };
    // SAFETY: As above.
    if !unsafe { (*users).tryget() } {
        return PASSED;
    }
    let ret = Call::new(call, args).and_then(|call| {
        // SAFETY: It stays, because it has a user.
        unsafe { (*calls).call(call, &MayIo::new()) }
    });
    // SAFETY: It has been counted above, and is not accessed after this.
    unsafe { crate::percpu_ref::Users::put(users) };
    ret.map_or(PASSED, to_ki_result)
}

/// The result that leaves a call to the kernel's own function.
const PASSED: isize = bindings::EXT_AIO_CALL_PASSED;

/// Returns the arguments of a `struct __aio_sigset` in user space: the mask and its size. May sleep.
///
/// # Errors
///
/// `EFAULT`.
pub fn read_sigset(from: UserPtr, _ctx: &MaySleep) -> Result<(UserPtr, usize)> {
    if from.as_const_ptr().is_null() {
        return Ok((from, 0));
    }
    let mut reader = kernel::uaccess::UserSlice::new(from, 2 * size_of::<usize>()).reader();
    Ok((UserPtr::from_addr(reader.read()?), reader.read()?))
}

/// Returns the timeout in ns that `from` points to in user space, or `None` for NULL and, as the
/// kernel, for negative times. May sleep.
///
/// # Errors
///
/// `EFAULT`.
pub fn read_timeout(from: UserPtr, _ctx: &MaySleep) -> Result<Option<i64>> {
    if from.as_const_ptr().is_null() {
        return Ok(None);
    }
    let mut ns = 0;
    // SAFETY: `ns` is valid for writes; the kernel checks the address.
    to_result(unsafe { bindings::ext_get_timeout(from.as_const_ptr(), &mut ns) })?;
    Ok((0..i64::MAX).contains(&ns).then_some(ns))
}

/// Puts the address of a context where user space wants it. May sleep.
///
/// # Errors
///
/// `EFAULT`.
pub fn write_address(address: usize, to: UserPtr, _ctx: &MaySleep) -> Result {
    kernel::uaccess::UserSlice::new(to, size_of::<usize>())
        .writer()
        .write(&address)
}

/// Reads an address from user space. May sleep.
///
/// # Errors
///
/// `EFAULT`.
pub fn read_address(from: UserPtr, _ctx: &MaySleep) -> Result<usize> {
    kernel::uaccess::UserSlice::new(from, size_of::<usize>())
        .reader()
        .read()
}
