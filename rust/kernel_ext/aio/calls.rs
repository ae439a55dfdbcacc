// SPDX-License-Identifier: GPL-2.0

//! The system calls of AIO, redirected.
//!
//! While an [`Interception`] exists, the kernel's functions for the six system calls of 64-bit
//! programs are redirected to a trampoline, which passes the calls to [`SystemCalls`]. What
//! that does not take goes on in the kernel's function, as if nothing had been.

use core::{
    marker::PhantomPinned,
    ptr::null_mut, //
};

use kernel::{
    error::to_result,
    ffi::{
        c_long,
        c_uint,
        c_ulong,
        c_void, //
    },
    prelude::*,
    sync::Arc,
    uaccess::UserPtr, //
};

use super::{
    context::{
        Context,
        ContextRef,
        Contexts, //
    },
    request::Requests, //
};
use crate::{
    bindings,
    compat::error::code::EOPNOTSUPP,
    context::{
        MayIo,
        MaySleep, //
    },
    fs::kiocb::to_ki_result,
    ftrace::{
        find_function,
        Redirect, //
    },
    percpu_ref::{
        Counted,
        Users, //
    },
};

/// The arguments that `io_getevents(2)` and `io_pgetevents(2)` have in common.
#[derive(Clone, Copy)]
pub struct GetEvents {
    /// How many results are waited for.
    pub min_nr: isize,
    /// How many there is room for.
    pub nr: isize,
    /// The room.
    pub events: UserPtr,
    /// A `struct __kernel_timespec`, or NULL.
    pub timeout: UserPtr,
}

impl GetEvents {
    #[inline]
    fn new(min_nr: c_long, nr: c_long, events: *mut c_void, timeout: *mut c_void) -> Self {
        Self {
            min_nr,
            nr,
            events: UserPtr::from_ptr(events),
            timeout: UserPtr::from_ptr(timeout),
        }
    }
}

/// What gets the system calls.
pub trait SystemCalls: Send + Sync + Sized + 'static {
    /// What belongs to a context.
    type Data: Requests;

    /// Carries out `io_setup(2)`, for `nr_events` requests; the address of the context goes to `ctxp`.
    /// Or returns `None` if the kernel has to do it, before anything of it has been done.
    fn setup(&self, nr_events: u32, ctxp: UserPtr, io: &MayIo) -> Option<Result<usize>>;

    /// Carries out `io_submit(2)`, of `nr` requests; pointers to their `struct iocb` are at `iocbpp`.
    fn submit(
        context: &ContextRef<Self::Data>,
        nr: isize,
        iocbpp: UserPtr,
        io: &MayIo,
    ) -> Result<usize>;

    /// Carries out `io_cancel(2)`, of the request at `iocb`.
    fn cancel(context: &ContextRef<Self::Data>, iocb: UserPtr, io: &MayIo) -> Result<usize>;

    /// Carries out `io_getevents(2)`.
    fn get_events(
        context: &ContextRef<Self::Data>,
        wanted: &GetEvents,
        io: &MayIo,
    ) -> Result<usize>;

    /// Carries out `io_pgetevents(2)`, with a `struct __aio_sigset` at `sigset`.
    fn pget_events(
        context: &ContextRef<Self::Data>,
        wanted: &GetEvents,
        sigset: UserPtr,
        io: &MayIo,
    ) -> Result<usize>;
}

/// The redirection of the system calls, until this is dropped. There is one.
///
/// The drop sleeps until no task is in [`SystemCalls::setup`] any more. Tasks may be in other calls:
/// those keep their contexts, see [`LastTasks`]. A call of `io_setup(2)` may access memory of user space
/// for a long time, if another task provides its pages.
pub struct Interception<T: SystemCalls> {
    redirect: Option<Redirect>,
    inner: Pin<KBox<Inner<T>>>,
}

#[repr(C)]
struct Inner<T: SystemCalls> {
    taker: bindings::ext_aio_taker,
    contexts: Arc<Contexts<T::Data>>,
    calls: Pin<KBox<Counted<T>>>,
    _pin: PhantomPinned,
}

// SAFETY: The taker only has the address of a function.
unsafe impl<T: SystemCalls> Send for Inner<T> {}

// SAFETY: As above.
unsafe impl<T: SystemCalls> Sync for Inner<T> {}

impl<T: SystemCalls> Interception<T> {
    /// Redirects the system calls. Those that are for one of `contexts` go to functions of `T`, and
    /// `io_setup(2)` to `calls`. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: this kernel cannot redirect functions, or find them by their names. Or its spin
    ///   locks sleep (`CONFIG_PREEMPT_RT`) or do nothing (without `CONFIG_SMP`), so that completions
    ///   cannot try them in an interrupt.
    /// - `ENOENT`: it has no AIO.
    /// - `EBUSY`: another user has redirected one of them.
    /// - `ENOMEM`.
    pub fn new(contexts: Arc<Contexts<T::Data>>, calls: impl PinInit<T, Error>) -> Result<Self> {
        if cfg!(any(CONFIG_PREEMPT_RT, not(CONFIG_SMP))) {
            return Err(EOPNOTSUPP);
        }
        let inner = KBox::pin(
            Inner {
                taker: bindings::ext_aio_taker {
                    setup: Some(setup::<T>),
                    destroy: Some(destroy::<T>),
                    submit: Some(submit::<T>),
                    cancel: Some(cancel::<T>),
                    getevents: Some(get_events::<T>),
                    pgetevents: Some(pget_events::<T>),
                },
                contexts,
                calls: KBox::try_pin_init(Counted::new(calls), GFP_KERNEL)?,
                _pin: PhantomPinned,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: The object does not move, and is unset before it is freed: by the drop of this.
        to_result(unsafe { bindings::ext_aio_set_taker((&raw const inner.taker).cast_mut()) })?;
        let mut this = Self {
            redirect: None,
            inner,
        };
        this.redirect = Some(redirect()?);
        Ok(this)
    }

    /// Returns what gets the calls.
    pub fn calls(&self) -> &T {
        &self.inner.calls
    }
}

/// Redirects them.
fn redirect() -> Result<Redirect> {
    let mut functions = [null_mut(); bindings::EXT_AIO_CALL_COUNT as usize];
    for (call, function) in (0..).zip(&mut functions) {
        // SAFETY: The call is one of those of the table, whose strings end with a NUL.
        let name = unsafe { CStr::from_char_ptr(bindings::ext_aio_call_name(call)) };
        *function = find_function(name)?;
    }
    let trampoline = bindings::ext_aio_trampoline as *mut c_void;
    // SAFETY: The trampoline is made for these functions.
    let redirect = unsafe { Redirect::new(&functions, trampoline) }?;
    // SAFETY: These are the functions, in their order. Until this is done, the trampoline returns to
    // them.
    to_result(unsafe { bindings::ext_aio_set_entries(functions.as_ptr()) })?;
    Ok(redirect)
}

impl<T: SystemCalls> Drop for Interception<T> {
    fn drop(&mut self) {
        // SAFETY: No requirements.
        unsafe { bindings::ext_aio_unset_taker() };
        self.inner.calls.kill(&MaySleep::new());
        // Waits until all tasks have slept that are in the trampoline, or in the code of this module
        // on their way back there: before that, nothing is freed that they have found.
        self.redirect = None;
        // SAFETY: No requirements. Tasks that have been interrupted in that code are waited for above,
        // and so are interrupts.
        unsafe { bindings::synchronize_rcu() };
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

/// Returns what a taker is in.
///
/// # Safety
///
/// For the trampolines of the system calls, with a taker that is in an [`Inner<T>`]. The result is valid
/// until the task sleeps: the drop of an [`Interception`] frees nothing before all tasks that have read
/// the address of the taker have slept.
unsafe fn inner_of<'a, T: SystemCalls>(taker: *mut bindings::ext_aio_taker) -> &'a Inner<T> {
    // SAFETY: By the safety requirements of this function.
    unsafe { &*taker.cast::<Inner<T>>() }
}

/// Carries out `io_setup(2)`.
///
/// # Safety
///
/// For the trampolines of the system calls, with the arguments of the latter, and the `taker` that is
/// in an [`Inner<T>`].
unsafe extern "C" fn setup<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    nr_events: c_uint,
    ctxp: *mut c_void,
) -> isize {
    // SAFETY: By the safety requirements of this function. It stays until this task sleeps, and from
    // the count of this user on until that is dropped.
    let calls: *const Counted<T> = unsafe { &*inner_of::<T>(taker).calls };
    // SAFETY: As above.
    let users = unsafe { Counted::users_of(Counted::inner(calls)) };
    // SAFETY: As above.
    if !unsafe { (*users).tryget() } {
        return PASSED;
    }
    // SAFETY: It stays, because it has a user.
    let ret = unsafe { (*calls).setup(nr_events, UserPtr::from_ptr(ctxp), &MayIo::new()) };
    // SAFETY: It has been counted above, and is not accessed after this.
    unsafe { Users::put(users) };
    ret.map_or(PASSED, to_ki_result)
}

/// Calls `f` with the context at `ctx`. If it is not one of this module's, the kernel has to carry out
/// the call.
///
/// # Safety
///
/// As for [`setup`].
// Hot path: `f` is one call, which is inlined.
#[inline(always)]
unsafe fn with_context<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
    f: impl FnOnce(ContextRef<T::Data>, &MayIo) -> Result<usize>,
) -> isize {
    // SAFETY: By the safety requirements of this function. It is not used after the lookup, which does
    // not sleep. From then on, this user of the context keeps the module.
    let contexts = &unsafe { inner_of::<T>(taker) }.contexts;
    match Context::find(contexts, ctx) {
        Some(context) => to_ki_result(f(context, &MayIo::new())),
        None => PASSED,
    }
}

/// Carries out `io_destroy(2)`.
///
/// # Safety
///
/// As for [`setup`].
unsafe extern "C" fn destroy<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
) -> isize {
    // SAFETY: By the safety requirements of this function.
    unsafe { with_context::<T>(taker, ctx, |context, io| context.destroy(io).map(|()| 0)) }
}

/// Carries out `io_submit(2)`.
///
/// # Safety
///
/// As for [`setup`].
unsafe extern "C" fn submit<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
    nr: c_long,
    iocbpp: *mut c_void,
) -> isize {
    let submit =
        |context: ContextRef<_>, io: &MayIo| T::submit(&context, nr, UserPtr::from_ptr(iocbpp), io);
    // SAFETY: By the safety requirements of this function.
    unsafe { with_context::<T>(taker, ctx, submit) }
}

/// Carries out `io_cancel(2)`.
///
/// # Safety
///
/// As for [`setup`].
unsafe extern "C" fn cancel<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
    iocb: *mut c_void,
) -> isize {
    let cancel =
        |context: ContextRef<_>, io: &MayIo| T::cancel(&context, UserPtr::from_ptr(iocb), io);
    // SAFETY: By the safety requirements of this function.
    unsafe { with_context::<T>(taker, ctx, cancel) }
}

/// Carries out `io_getevents(2)`.
///
/// # Safety
///
/// As for [`setup`].
unsafe extern "C" fn get_events<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
    min_nr: c_long,
    nr: c_long,
    events: *mut c_void,
    timeout: *mut c_void,
) -> isize {
    let wanted = GetEvents::new(min_nr, nr, events, timeout);
    let get_events = |context: ContextRef<_>, io: &MayIo| T::get_events(&context, &wanted, io);
    // SAFETY: By the safety requirements of this function.
    unsafe { with_context::<T>(taker, ctx, get_events) }
}

/// Carries out `io_pgetevents(2)`.
///
/// # Safety
///
/// As for [`setup`].
unsafe extern "C" fn pget_events<T: SystemCalls>(
    taker: *mut bindings::ext_aio_taker,
    ctx: c_ulong,
    min_nr: c_long,
    nr: c_long,
    events: *mut c_void,
    timeout: *mut c_void,
    sigset: *mut c_void,
) -> isize {
    let wanted = GetEvents::new(min_nr, nr, events, timeout);
    let pget_events = |context: ContextRef<_>, io: &MayIo| {
        T::pget_events(&context, &wanted, UserPtr::from_ptr(sigset), io)
    };
    // SAFETY: By the safety requirements of this function.
    unsafe { with_context::<T>(taker, ctx, pget_events) }
}

/// The result that leaves a call to the kernel's own function.
const PASSED: isize = bindings::EXT_AIO_CALL_PASSED;
