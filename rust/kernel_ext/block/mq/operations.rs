// SPDX-License-Identifier: GPL-2.0

//! The operations of a blk-mq driver, and the C callbacks that call them.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

use core::marker::PhantomData;

use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    types::ForeignOwnable, //
    ModuleMetadata,
};

use crate::block::BlkError;

use super::{
    queues::Queues,
    request::Pdu,
    request_list,
    BorrowedQueueData,
    ExpiredRequest,
    FileSlot,
    Hctx,
    IdleRequest,
    IoCompBatch,
    Rejected,
    ReportZones,
    Request,
    TimerSlot, //
};

/// What the block layer does with a request that took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeoutAction {
    /// The driver has ended the request.
    Done,
    /// The owner of the request goes on with it, so that the block layer looks again after another
    /// timeout.
    ResetTimer,
}

/// The operations of a blk-mq driver.
///
/// # Examples
///
/// A driver that ends all requests at once:
///
/// ```
/// # use kernel::prelude::*;
/// # use kernel_ext::block::mq::{
/// #     BorrowedQueueData, Hctx, IdleRequest, NoFile, NoTimer, NoZones, Operations, Rejected,
/// #     Request,
/// # };
/// struct MyDriver;
///
/// #[vtable]
/// impl Operations for MyDriver {
///     type Module = LocalModule;
///     type QueueData = ();
///     type HwData = ();
///     type RequestData = ();
///     type Timer = NoTimer;
///     type File = NoFile;
///     type Zones = NoZones;
///
///     fn init_hctx(
///         _queue_data: BorrowedQueueData<'_, Self>,
///         _index: u32,
///     ) -> impl PinInit<(), Error> {
///         Ok(())
///     }
///
///     fn new_request_data() -> impl PinInit<(), Error> {
///         Ok(())
///     }
///
///     fn queue_rq<'a>(
///         _hctx: Hctx<'_, Self>,
///         rq: IdleRequest<'a, Self>,
///         _is_last: bool,
///     ) -> Result<(), Rejected<'a, Self>> {
///         rq.start().end(Ok(()));
///         Ok(())
///     }
///
///     fn complete(rq: Request<Self>) {
///         rq.end(Ok(()));
///     }
/// }
/// ```
#[vtable]
pub trait Operations: Sized + 'static {
    /// The module that the driver is in. An open disk keeps it loaded.
    type Module: ModuleMetadata;

    /// The driver's data of a request queue. Dropped when the disk has been removed.
    type QueueData: ForeignOwnable + Send + Sync;

    /// The driver's data of a hardware queue. Dropped when the disk has been removed, or when there
    /// are fewer hardware queues.
    type HwData: Send + Sync;

    /// The driver's data of a request. It lives as long as the memory of the request, and is kept
    /// from one use of that to the next.
    type RequestData: Send + Sync;

    /// [`super::RequestTimer<Self>`] if requests wait for timers, otherwise [`super::NoTimer`].
    type Timer: TimerSlot;

    /// [`super::FileTransfer<Self>`] if requests read and write files, otherwise [`super::NoFile`].
    type File: FileSlot;

    /// What reports the zones of disks that have any, otherwise [`super::NoZones`].
    type Zones: ReportZones;

    /// Makes the data of the hardware queue with number `index`. May sleep.
    fn init_hctx(
        queue_data: BorrowedQueueData<'_, Self>,
        index: u32,
    ) -> impl PinInit<Self::HwData, Error>;

    /// Makes the data of a request, once for each that the tag set has. May sleep.
    fn new_request_data() -> impl PinInit<Self::RequestData, Error>;

    /// Takes a request. `is_last` is whether no other follows at once.
    ///
    /// May sleep if the tag set has [`super::Flags::Blocking`].
    ///
    /// The request may end before this returns. `hctx` and what is borrowed from it stay valid
    /// until this returns, even if the disk is being removed.
    fn queue_rq<'a>(
        hctx: Hctx<'_, Self>,
        rq: IdleRequest<'a, Self>,
        is_last: bool,
    ) -> Result<(), Rejected<'a, Self>>;

    /// Notifies the device of the requests that were queued with `is_last` being false.
    fn commit_rqs(_hctx: Hctx<'_, Self>) {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Ends a request after [`Request::complete`], on a CPU that the block layer chose. May not
    /// sleep.
    fn complete(rq: Request<Self>);

    /// Ends the requests of a queue for polled I/O that are finished, and returns how many there
    /// were, or [`None`] if there is nothing to poll, so that the poller looks whether its I/O has
    /// ended in another way. May not sleep.
    fn poll(_hctx: Hctx<'_, Self>, _batch: IoCompBatch<'_>) -> Option<u32> {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles a request that was started long ago and has not ended. Runs in process context.
    fn timeout(_rq: &ExpiredRequest<'_, Self>) -> TimeoutAction {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The C callbacks of a driver.
pub(super) struct OperationsVTable<T: Operations>(PhantomData<T>);

impl<T: Operations> OperationsVTable<T> {
    /// # Safety
    ///
    /// - Only blk-mq may call this, in the read-side critical section of a dispatcher, which has to
    ///   begin after `init_hctx` and before `exit_hctx` for `hctx`.
    /// - `bd` must be valid. It passes the ownership of the request in it, which must be
    ///   initialized by `init_request` and not started.
    unsafe extern "C" fn queue_rq(
        hctx: *mut bindings::blk_mq_hw_ctx,
        bd: *const bindings::blk_mq_queue_data,
    ) -> bindings::blk_status_t {
        // SAFETY: By the safety requirements of this function the data of the hardware queue and of
        // the request queue are set. They are freed after `TagSet::wait_for_dispatchers()`, which
        // waits for the read-side critical section that blk-mq makes this call in. To freeze the
        // queue would not do, because this call may have ended the last request.
        let hctx = unsafe { Hctx::from_raw(hctx) };
        // SAFETY: By the safety requirements of this function.
        let (rq, is_last) = unsafe { ((*bd).rq, (*bd).last) };
        // SAFETY: By the safety requirements of this function. The lifetime is of this call only,
        // and `T::queue_rq()` works with any, so what it returns cannot be another request.
        let rq = unsafe { IdleRequest::from_raw(rq) };

        let rejected = T::queue_rq(hctx, rq, is_last).err();
        BlkError::into_raw(rejected.map_or(Ok(()), |rejected| Err(rejected.into_error())))
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, in the read-side critical section of a dispatcher. `rqs` must be a
    /// list of requests that `queue_rq` may be called for, with their hardware queues. What is left in
    /// it has not been taken.
    unsafe extern "C" fn queue_rqs(rqs: *mut bindings::rq_list) {
        // SAFETY: By the safety requirements of this function. The list has all that has not been passed
        // to the driver, and what the driver has not taken.
        unsafe {
            let mut next = (*rqs).head;
            *rqs = pin_init::zeroed();
            while !next.is_null() {
                let rq = next;
                next = request_list::next(rq);
                let hctx = (*rq).mq_hctx;
                let last = next.is_null() || (*next).mq_hctx != hctx;
                let bd = bindings::blk_mq_queue_data { rq, last };
                if Self::queue_rq(hctx, &bd) != 0 {
                    request_list::append(rqs, rq);
                }
            }
        }
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, in the read-side critical section of a dispatcher, which has to
    /// begin after `init_hctx` and before `exit_hctx` for `hctx`.
    unsafe extern "C" fn commit_rqs(hctx: *mut bindings::blk_mq_hw_ctx) {
        // SAFETY: As in `queue_rq`.
        T::commit_rqs(unsafe { Hctx::from_raw(hctx) });
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, for a request that `Request::complete()` was called for.
    unsafe extern "C" fn complete(rq: *mut bindings::request) {
        // SAFETY: `Request::complete()` gave up the ownership, to be taken up here.
        T::complete(unsafe { Request::from_raw(rq) });
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, for a `hctx` between `init_hctx` and `exit_hctx`, or NULL. `iob`
    /// must be NULL, or valid and used by nothing else.
    unsafe extern "C" fn poll(
        hctx: *mut bindings::blk_mq_hw_ctx,
        iob: *mut bindings::io_comp_batch,
    ) -> c_int {
        if hctx.is_null() {
            // The bio has ended, and then its hardware queue has gone.
            return 0;
        }
        // SAFETY: Pollers hold a reference of the queue, not of a request. The freeze that precedes
        // `exit_hctx` waits for it.
        let hctx = unsafe { Hctx::from_raw(hctx) };
        // SAFETY: By the safety requirements of this function.
        let batch = unsafe { IoCompBatch::from_raw(iob) };
        match T::poll(hctx, batch) {
            Some(nr) => c_int::try_from(nr).unwrap_or(c_int::MAX),
            // The block layer stops spinning.
            None => -1,
        }
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, for a request that was started, with a reference that keeps it
    /// from being used anew.
    unsafe extern "C" fn timeout(rq: *mut bindings::request) -> bindings::blk_eh_timer_return {
        // SAFETY: By the safety requirements of this function. The timeout handler also holds a
        // reference of the queue, so its hardware queues are live.
        let rq = unsafe { ExpiredRequest::from_raw(rq) };
        match T::timeout(&rq) {
            TimeoutAction::Done => bindings::blk_eh_timer_return_BLK_EH_DONE,
            TimeoutAction::ResetTimer => bindings::blk_eh_timer_return_BLK_EH_RESET_TIMER,
        }
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, once before `exit_hctx`, for a queue whose tag set is a
    /// `TagSet<T>`, and whose data came from `T::QueueData::into_foreign()`.
    unsafe extern "C" fn init_hctx(
        hctx: *mut bindings::blk_mq_hw_ctx,
        _tagset_data: *mut c_void,
        hctx_idx: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function; a tag set outlives its queues.
        let queues = unsafe { Queues::<T>::of((*(*hctx).queue).tag_set) };
        from_result(|| {
            // SAFETY: By the safety requirements of this function; `GenDiskBuilder::build()` keeps them
            // until the disk is made, and the disk as long as it has queues.
            let queue_data = unsafe { T::QueueData::borrow((*(*hctx).queue).queuedata) };
            let data = queues.take_or_make(queue_data, hctx_idx)?;
            // SAFETY: blk-mq has this function initialize `hctx`; the field belongs to the driver.
            unsafe { (*hctx).driver_data = data };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, once after `init_hctx`, for a queue whose tag set is a
    /// `TagSet<T>`, when no request is left and no other callback for `hctx` begins.
    unsafe extern "C" fn exit_hctx(hctx: *mut bindings::blk_mq_hw_ctx, _hctx_idx: c_uint) {
        // SAFETY: By the safety requirements of this function; a tag set outlives its queues.
        let queues = unsafe { Queues::<T>::of((*(*hctx).queue).tag_set) };
        // SAFETY: The data were set by `init_hctx`, which passed their ownership to the hardware
        // queue. Callbacks that have not returned may still borrow them.
        unsafe { queues.retire((*hctx).driver_data) };
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, once before `exit_request`, for a request of a tag set whose
    /// `cmd_size` is that of `Pdu<T>`.
    unsafe extern "C" fn init_request(
        _set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _hctx_idx: c_uint,
        _numa_node: c_int,
    ) -> c_int {
        // SAFETY: Behind the request is memory for a `Pdu<T>`, which stays where it is until
        // `exit_request`.
        from_result(|| unsafe { Pdu::<T>::init_at(Pdu::of(rq)) }.map(|()| 0))
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, once after `init_request` returned 0, for a request that is not
    /// in flight.
    unsafe extern "C" fn exit_request(
        _set: *mut bindings::blk_mq_tag_set,
        rq: *mut bindings::request,
        _hctx_idx: c_uint,
    ) {
        // SAFETY: Initialized by `init_request`. The request is not in flight, so that nothing
        // borrows the data; the drop of the timer waits for a callback that has just ended the
        // request.
        unsafe { core::ptr::drop_in_place(Pdu::<T>::of(rq)) };
    }

    /// # Safety
    ///
    /// Only blk-mq may call this, for the set of a `TagSet<T>` whose `queues` are initialized.
    unsafe extern "C" fn map_queues(set: *mut bindings::blk_mq_tag_set) {
        // SAFETY: By the safety requirements of this function.
        unsafe { Queues::<T>::of(set).fill_maps(set) };
    }

    const VTABLE: bindings::blk_mq_ops = bindings::blk_mq_ops {
        queue_rq: Some(Self::queue_rq),
        queue_rqs: Some(Self::queue_rqs),
        commit_rqs: if T::HAS_COMMIT_RQS {
            Some(Self::commit_rqs)
        } else {
            None
        },
        get_budget: None,
        put_budget: None,
        set_rq_budget_token: None,
        get_rq_budget_token: None,
        timeout: if T::HAS_TIMEOUT {
            Some(Self::timeout)
        } else {
            None
        },
        poll: if T::HAS_POLL { Some(Self::poll) } else { None },
        complete: Some(Self::complete),
        init_hctx: Some(Self::init_hctx),
        exit_hctx: Some(Self::exit_hctx),
        init_request: Some(Self::init_request),
        exit_request: Some(Self::exit_request),
        cleanup_rq: None,
        busy: None,
        map_queues: Some(Self::map_queues),
        #[cfg(CONFIG_BLK_DEBUG_FS)]
        show_rq: None,
    };

    pub(super) const fn build() -> &'static bindings::blk_mq_ops {
        &Self::VTABLE
    }
}
