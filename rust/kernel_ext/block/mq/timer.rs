// SPDX-License-Identifier: GPL-2.0

//! Timers that end requests.
//!
//! C header: [`include/linux/hrtimer.h`](srctree/include/linux/hrtimer.h)

use core::{
    marker::PhantomData,
    mem::zeroed, //
};

use kernel::{
    bindings,
    container_of,
    prelude::*,
    time::Delta,
    types::Opaque, //
};

use super::{
    request::{
        Pdu,
        Request, //
    },
    Operations, //
};

/// `HRTIMER_NORESTART`, which is 0; the name that bindgen gives it has changed.
// SAFETY: The type is an integer, or has one as its only field.
const NO_RESTART: bindings::hrtimer_restart = unsafe { zeroed() };

/// The timer in every request of a driver, or nothing.
pub trait TimerSlot: Send + Sync + Sized {
    /// Makes the timer of a request.
    fn init() -> impl PinInit<Self>;
}

/// No timer.
pub struct NoTimer;

impl TimerSlot for NoTimer {
    fn init() -> impl PinInit<Self> {
        Self
    }
}

/// A high resolution timer that a request can be handed to.
///
/// It owns the request from [`Request::start_timer`] until it fires, so that it needs no handle and
/// cannot be cancelled. To wait for the timer, wait for the request to end.
///
/// The callback may still be running when the request that it has ended is used anew on another
/// CPU, and started with the same timer. The timer core allows that, and queues the timer again.
/// When the memory of the request is freed, the drop waits for the callback.
///
/// # Invariants
///
/// - `self.timer` was initialized by `hrtimer_setup()` with [`Self::fire`] for a callback.
/// - `self` is the timer of a [`Pdu<T>`] behind a request of `T`.
/// - While the timer is queued, it owns this request, in the sense of [`Request`].
#[pin_data(PinnedDrop)]
pub struct RequestTimer<T: TimerOperations> {
    #[pin]
    timer: Opaque<bindings::hrtimer>,
    _p: PhantomData<fn() -> T>,
}

/// Operations of drivers whose requests are ended by timers.
pub trait TimerOperations: Operations<Timer = RequestTimer<Self>> {
    /// Ends a request when its timer fires. Runs in hard interrupt context (on `PREEMPT_RT`, in
    /// soft interrupt context).
    fn timer_expired(rq: Request<Self>);
}

// SAFETY: An hrtimer belongs to no thread.
unsafe impl<T: TimerOperations> Send for RequestTimer<T> {}

// SAFETY: The C functions lock the base of the timer.
unsafe impl<T: TimerOperations> Sync for RequestTimer<T> {}

impl<T: TimerOperations> TimerSlot for RequestTimer<T> {
    fn init() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Set up here. The only user of this trait is the initializer of a `Pdu`.
            timer <- Opaque::ffi_init(|timer| {
                // SAFETY: `timer` points to memory for an hrtimer.
                unsafe {
                    bindings::hrtimer_setup(
                        timer,
                        Some(Self::fire),
                        bindings::CLOCK_MONOTONIC as bindings::clockid_t,
                        bindings::hrtimer_mode_HRTIMER_MODE_REL,
                    )
                }
            }),
            _p: PhantomData,
        })
    }
}

impl<T: TimerOperations> RequestTimer<T> {
    /// # Safety
    ///
    /// Only the timer core may call this, with the timer of a `Self`, when it fires.
    unsafe extern "C" fn fire(timer: *mut bindings::hrtimer) -> bindings::hrtimer_restart {
        let timer: *mut Opaque<bindings::hrtimer> = timer.cast();
        // SAFETY: By the type invariant the timer is within a `Self`, and this within a `Pdu<T>`.
        let pdu = unsafe {
            let this: *mut Self = container_of!(timer, Self, timer);
            container_of!(this, Pdu<T>, timer)
        };
        // SAFETY: By the type invariant the timer owned the request, and no longer does: it has
        // left the queue. Nothing of `self` is accessed from here on, as the request may be used
        // anew.
        T::timer_expired(unsafe { Request::from_raw(Pdu::request(pdu)) });
        NO_RESTART
    }
}

#[pinned_drop]
impl<T: TimerOperations> PinnedDrop for RequestTimer<T> {
    fn drop(self: Pin<&mut Self>) {
        // Requests are freed when they are not in flight, so the timer is not queued. But its
        // callback may not have returned to the timer core, which goes on to use the timer.
        // SAFETY: By the type invariant. Waits for a callback on another CPU, which it may: memory
        // of requests is freed in process context.
        unsafe { bindings::hrtimer_cancel(self.timer.get()) };
    }
}

impl<T: TimerOperations> Request<T> {
    /// Hands the request to its timer: [`TimerOperations::timer_expired`] is called after `delay`.
    #[inline]
    pub fn start_timer(self, delay: Delta) {
        let pdu = Pdu::<T>::of(self.into_raw());
        // INVARIANT: The ownership passes to the timer.
        // SAFETY: The request was started and owned, so that its `Pdu` is initialized and its timer
        // is not queued. It lives until the request is ended, which only the timer does now.
        unsafe {
            bindings::hrtimer_start_range_ns(
                (*pdu).timer.timer.get(),
                delay.as_nanos(),
                0,
                bindings::hrtimer_mode_HRTIMER_MODE_REL,
            )
        };
    }
}
