// SPDX-License-Identifier: GPL-2.0

//! The blk-mq driver of null disks: how a request is processed and ended.

mod transfer;
mod zoned;

use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
    time::Delta, //
};

use kernel_ext::block::{
    mq::{
        BorrowedQueueData,
        ExpiredRequest,
        Hctx,
        HctxType,
        IdleRequest,
        IoCompBatch,
        NoFile,
        Operations,
        Rejected,
        Request,
        RequestList,
        RequestTimer,
        TimeoutAction,
        TimerOperations, //
    },
    BlkError,
    BlkResult, //
};

use super::{
    attributes::Config,
    counters::{
        Counter,
        Counters, //
    },
    faults::{
        Faults,
        HwFaults, //
    },
    medium::Medium,
    throttle::Throttle,
    value::IrqMode,
    zones::Zones, //
};

/// Time in ms after which a request that is not polled fails, as in null_blk.
pub(super) const TIMEOUT_MS: u32 = 5000;

/// The operations of null disks.
pub(super) struct NullDisk;

/// The data that all queues of a disk use, and that do not change.
pub(super) struct QueueData {
    irqmode: IrqMode,
    delay: Delta,
    memory_backed: bool,
    blocksize: u32,
    badblocks_once: bool,
    badblocks_partial_io: bool,
    throttle: Option<Arc<Throttle>>,
    medium: Arc<Medium>,
    zones: Option<Arc<Zones>>,
    counters: Arc<Counters>,
    faults: Faults,
}

/// The data of a hardware queue.
#[pin_data]
pub(super) struct HwData {
    /// Requests that wait for a poll.
    ///
    /// The lock is on the path of polled I/O only, where requests pass from one task to another.
    /// Submitters and pollers of one hardware queue share it, different queues do not. It is never
    /// taken in interrupts.
    #[pin]
    parked: SpinLock<RequestList<NullDisk>>,
    #[pin]
    faults: HwFaults<NullDisk>,
}

/// The data of a request.
///
/// Relaxed ordering is enough, because passing the ownership of the request orders the accesses.
pub(super) struct RequestData {
    /// The `blk_status_t` that it is going to end with. Only the owner writes and reads it.
    result: Atomic<u32>,
    /// When the medium of a throttled disk has transferred it, in the time of [`Throttle::now`]. Set
    /// before the request is started; the timeout handler, which is not the owner, reads it, too.
    end: Atomic<i64>,
}

impl RequestData {
    #[inline]
    fn set(&self, result: BlkResult) {
        self.result
            .store(u32::from(BlkError::into_raw(result)), Relaxed);
    }

    #[inline]
    fn get(&self) -> BlkResult {
        // CAST: It was made from a `blk_status_t`, which has 8 bits.
        BlkError::from_raw(self.result.load(Relaxed) as u8)
    }
}

impl QueueData {
    pub(super) fn new(
        config: &Config,
        medium: Arc<Medium>,
        zones: Option<Arc<Zones>>,
        throttle: Option<Arc<Throttle>>,
        counters: Arc<Counters>,
        faults: Faults,
    ) -> Self {
        let (irqmode, delay) = match config.irqmode {
            IrqMode::Timer => (IrqMode::Timer, config.completion_nsec),
            // A request ends when the medium has transferred it.
            _ if throttle.is_some() => (IrqMode::Timer, 0),
            other => (other, 0),
        };
        Self {
            irqmode,
            // CAST: The configuration limits it to 10 s.
            delay: Delta::from_nanos(delay as i64),
            memory_backed: config.memory_backed,
            blocksize: config.blocksize,
            badblocks_once: config.badblocks_once,
            badblocks_partial_io: config.badblocks_partial_io,
            throttle,
            medium,
            zones,
            counters,
            faults,
        }
    }

    /// Returns the data of the disk, and their cache.
    pub(super) fn medium(&self) -> &Arc<Medium> {
        &self.medium
    }

    #[inline]
    fn count(&self, rq: &Request<NullDisk>) {
        self.counters.inc(rq.command().into());
        if rq.is_fua() {
            self.counters.inc(Counter::Fua);
        }
    }

    /// Returns how long the medium still transfers a request, if it has a limit.
    #[inline]
    fn transfer_time(&self, data: &RequestData) -> Delta {
        match &self.throttle {
            Some(throttle) => throttle.until(data.end.load(Relaxed)),
            None => Delta::ZERO,
        }
    }

    /// Returns whether the medium has not transferred a request yet.
    #[inline]
    fn is_early(&self, data: &RequestData) -> bool {
        !self.transfer_time(data).is_zero()
    }

    /// Returns whether the medium has not transferred a request yet, or less than a timeout ago.
    fn may_be_polled_later(&self, data: &RequestData) -> bool {
        self.throttle.as_ref().is_some_and(|throttle| {
            throttle.now() < data.end.load(Relaxed) + i64::from(TIMEOUT_MS) * 1_000_000
        })
    }
}

#[vtable]
impl Operations for NullDisk {
    type Module = crate::LocalModule;
    type QueueData = KBox<QueueData>;
    type HwData = HwData;
    type RequestData = RequestData;
    type Timer = RequestTimer<Self>;
    type File = NoFile;
    type Zones = Zones;

    fn init_hctx(disk: BorrowedQueueData<'_, Self>, _index: u32) -> impl PinInit<HwData, Error> {
        try_pin_init!(HwData {
            parked <- new_spinlock!(RequestList::new(), "rnull_dio_parked"),
            faults <- HwFaults::new(&disk.faults),
        })
    }

    fn new_request_data() -> impl PinInit<RequestData, Error> {
        Ok(RequestData {
            result: Atomic::new(0),
            end: Atomic::new(0),
        })
    }

    #[inline]
    fn queue_rq<'a>(
        hctx: Hctx<'_, Self>,
        rq: IdleRequest<'a, Self>,
        _is_last: bool,
    ) -> Result<(), Rejected<'a, Self>> {
        let disk = hctx.queue_data();
        if disk.faults.should_requeue() {
            disk.counters.inc(Counter::Requeue);
            return hctx.data().faults.requeue(rq);
        }
        if let Some(throttle) = &disk.throttle {
            // Before it is started: the block layer keeps a request that is too early.
            match throttle.transfer(rq.transferred_bytes()) {
                Some(end) => rq.data().end.store(end, Relaxed),
                None => return Err(rq.busy(false)),
            }
        }
        let mut rq = rq.start();
        disk.count(&rq);
        if disk.faults.should_time_out(&rq) {
            // As in null_blk, it is not carried out.
            hctx.data().faults.forget(rq);
            return Ok(());
        }
        // Not where the request ends, because only here may a write sleep for memory.
        let result = disk.process(&mut rq);

        if hctx.kind() == HctxType::Poll && rq.is_polled() {
            rq.data().set(result);
            hctx.data().parked.lock().push_tail(rq);
            return Ok(());
        }
        match disk.irqmode {
            IrqMode::None => rq.end(result),
            IrqMode::SoftIrq => {
                rq.data().set(result);
                rq.complete();
            }
            IrqMode::Timer => {
                rq.data().set(result);
                let delay = disk.delay + disk.transfer_time(&rq.data());
                rq.start_timer(delay);
            }
        }
        Ok(())
    }

    fn complete(rq: Request<Self>) {
        let result = rq.data().get();
        rq.end(result);
    }

    fn poll(hctx: Hctx<'_, Self>, mut batch: IoCompBatch<'_>) -> Option<u32> {
        // Take all of them, so that they are ended without the lock.
        let mut done = core::mem::take(&mut *hctx.data().parked.lock());
        let mut early = RequestList::new();
        let mut nr = 0;
        while let Some(rq) = done.pop() {
            if hctx.queue_data().is_early(&rq.data()) {
                early.push_tail(rq);
                continue;
            }
            let result = rq.data().get();
            hctx.queue_data().counters.inc(Counter::Polled);
            rq.end_batched(&mut batch, result);
            nr += 1;
        }
        while let Some(rq) = early.pop() {
            hctx.data().parked.lock().push_tail(rq);
        }
        Some(nr)
    }

    fn timeout(rq: &ExpiredRequest<'_, Self>) -> TimeoutAction {
        let hctx = rq.hctx();
        let mut overdue = hctx.data().faults.take(rq);
        if overdue.is_none() && !hctx.queue_data().may_be_polled_later(&rq.data()) {
            overdue = hctx.data().parked.lock().remove(rq);
        }
        match overdue {
            Some(rq) => {
                hctx.queue_data().counters.inc(Counter::Timeout);
                rq.end(Err(BlkError::TIMEOUT));
                TimeoutAction::Done
            }
            // It waits for its timer or for memory, or is about to end.
            None => TimeoutAction::ResetTimer,
        }
    }
}

impl TimerOperations for NullDisk {
    fn timer_expired(rq: Request<Self>) {
        Self::complete(rq);
    }
}
