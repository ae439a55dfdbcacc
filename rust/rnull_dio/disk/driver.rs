// SPDX-License-Identifier: GPL-2.0

//! The blk-mq driver of null disks: how a request is processed and ended.

use core::ops::Range;

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
        Command,
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
    BlkResult,
    SECTOR_SHIFT, //
};

use super::{
    attributes::Config,
    counters::{
        Counter,
        Counters, //
    },
    medium::Medium,
    throttle::Throttle,
    value::IrqMode, //
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
    counters: Arc<Counters>,
}

/// The data of a hardware queue.
#[pin_data]
pub(super) struct HwData {
    /// Requests that wait for a poll or, because of fault injection, for the timeout.
    ///
    /// The lock is on the path of polled I/O only, where requests pass from one task to another.
    /// Submitters and pollers of one hardware queue share it, different queues do not. It is never
    /// taken in interrupts.
    #[pin]
    parked: SpinLock<RequestList<NullDisk>>,
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
        throttle: Option<Arc<Throttle>>,
        counters: Arc<Counters>,
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
            counters,
        }
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

    /// Carries out the request, and returns what it has to end with.
    #[inline]
    fn process(&self, rq: &Request<NullDisk>) -> BlkResult {
        let result = self.transfer(rq);
        if result.is_err() {
            self.counters.inc(Counter::Error);
        }
        result
    }

    #[inline]
    fn transfer(&self, rq: &Request<NullDisk>) -> BlkResult {
        match rq.command() {
            Command::Flush => return self.medium.flush().map_err(to_blk_error),
            Command::Read | Command::Write | Command::Discard | Command::WriteZeroes => {}
            Command::SecureErase | Command::Other(_) => return Err(BlkError::NOTSUPP),
        }
        if let Some(bad) = self.medium.storage().first_bad(rq.sector(), rq.bytes()) {
            return Err(self.hit(rq, bad));
        }
        // Otherwise a read leaves the memory of the reader as it is, as in null_blk.
        if self.memory_backed {
            self.copy(rq).map_err(to_blk_error)?;
        }
        Ok(())
    }

    fn copy(&self, rq: &Request<NullDisk>) -> Result {
        let (pos, len) = (rq.sector() << SECTOR_SHIFT, u64::from(rq.bytes()));
        match rq.command() {
            Command::Read => self.medium.read(pos, rq.dest()),
            Command::Write => self.medium.write(pos, len, rq.source(), rq.is_fua()),
            _ => self.medium.zero(pos, len),
        }
    }

    /// Carries out what a request with bad sectors does before it fails. Returns the error.
    #[cold]
    fn hit(&self, rq: &Request<NullDisk>, bad: Range<u64>) -> BlkError {
        if self.badblocks_partial_io && self.memory_backed {
            // The whole blocks that lie before.
            let sectors = bad.start.saturating_sub(rq.sector());
            let block_sectors = u64::from(self.blocksize >> SECTOR_SHIFT);
            let bytes = sectors / block_sectors * u64::from(self.blocksize);
            if let Err(err) = self.copy_first(rq, bytes) {
                return to_blk_error(err);
            }
        }
        if self.badblocks_once {
            // Fails only if the set is full and has changed meanwhile, so that the range is a part
            // of another one.
            let _ = self.medium.storage().bad().set_good(bad);
        }
        BlkError::IOERR
    }

    /// Carries out the first `bytes` of a request, of which it has more.
    fn copy_first(&self, rq: &Request<NullDisk>, bytes: u64) -> Result {
        let pos = rq.sector() << SECTOR_SHIFT;
        // CAST: A request has less than 4 GiB.
        let first = bytes as usize;
        match rq.command() {
            Command::Read => self.medium.read(pos, rq.dest().up_to(first)),
            Command::Write => {
                let source = rq.source().up_to(first);
                self.medium.write(pos, bytes, source, rq.is_fua())
            }
            _ => self.medium.zero(pos, bytes),
        }
    }
}

fn to_blk_error(error: Error) -> BlkError {
    if error == ENOMEM {
        // As in null_blk: a sparse device that cannot grow.
        BlkError::NOSPC
    } else {
        BlkError::IOERR
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

    fn init_hctx(_index: u32) -> impl PinInit<HwData, Error> {
        try_pin_init!(HwData {
            parked <- new_spinlock!(RequestList::new(), "rnull_dio_parked"),
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
        if let Some(throttle) = &disk.throttle {
            // Before it is started: the block layer keeps a request that is too early.
            match throttle.transfer(rq.transferred_bytes()) {
                Some(end) => rq.data().end.store(end, Relaxed),
                None => return Err(rq.busy(false)),
            }
        }
        let rq = rq.start();
        disk.count(&rq);
        // Not where the request ends, because only here may a write sleep for memory.
        let result = disk.process(&rq);

        if hctx.kind() == HctxType::Poll && rq.is_polled() || rq.should_fake_timeout() {
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

    fn poll(hctx: Hctx<'_, Self>, mut batch: IoCompBatch<'_>) -> u32 {
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
        nr
    }

    fn timeout(rq: &ExpiredRequest<'_, Self>) -> TimeoutAction {
        let hctx = rq.hctx();
        if hctx.queue_data().may_be_polled_later(&rq.data()) {
            return TimeoutAction::ResetTimer;
        }
        let forgotten = hctx.data().parked.lock().remove(rq);
        match forgotten {
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
