// SPDX-License-Identifier: GPL-2.0

//! The blk-mq driver of disks whose data is in a file.
//!
//! A request becomes a kiocb of the file. It is not issued in `queue_rq()`, because that may be called
//! by a file system that holds locks or has a transaction, deep in the stack. Threads do it: one for
//! each hardware queue, which takes all requests that have come as one list and plugs their bios; and
//! one for the disk, for requests that always sleep, so that others do not wait for them.
//!
//! A polled request is issued in `queue_rq()` nevertheless, without sleeping for the file, if the task
//! can be seen to hold none of those locks. Its kiocb is polled when the hardware queue is.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    }, //
};

use kernel_ext::{
    block::{
        mq::{
            BorrowedQueueData,
            Command,
            ExpiredRequest,
            FileTransfer,
            Hctx,
            HctxType,
            IdleRequest,
            IoCompBatch,
            NoTimer,
            NoZones,
            Operations,
            PolledTransfers,
            Rejected,
            Request,
            RequestThread,
            ThreadOperations,
            TimeoutAction,
            TransferOperations, //
        },
        BlkError,
        BlkResult,
        SECTOR_SHIFT, //
    },
    compat::error::code::EOPNOTSUPP,
    context::MayIo,
    fs::backing_file::BackingFile, //
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
    Storage, //
};

/// The operations of disks with a file.
pub(super) struct FileDisk;

/// The data that all queues of a disk use.
#[pin_data]
pub(super) struct QueueData {
    // First, so that it has ended before the rest is dropped.
    #[pin]
    sleeper: RequestThread<FileDisk>,
    file: BackingFile,
    badblocks_once: bool,
    storage: Arc<Storage>,
    counters: Arc<Counters>,
    faults: Faults,
}

/// The data of a hardware queue.
#[pin_data]
pub(super) struct HwData {
    #[pin]
    faults: HwFaults<FileDisk>,
    #[pin]
    submitter: RequestThread<FileDisk>,
    #[pin]
    polled: PolledTransfers,
}

/// The data of a request.
///
/// Relaxed ordering is enough, because passing the ownership of the request orders the accesses.
pub(super) struct RequestData {
    /// How many bytes have been transferred. Only the owner writes and reads it.
    done: Atomic<u32>,
    /// The `blk_status_t` that it is going to end with. Only the owner writes and reads it.
    result: Atomic<u32>,
}

impl QueueData {
    pub(super) fn new(
        config: &Config,
        file: BackingFile,
        storage: Arc<Storage>,
        counters: Arc<Counters>,
        faults: Faults,
    ) -> impl PinInit<Self, Error> {
        let badblocks_once = config.badblocks_once;
        try_pin_init!(Self {
            sleeper <- RequestThread::new(c"rnull_dio_sleep"),
            file,
            badblocks_once,
            storage,
            counters,
            faults,
        })
    }

    /// Passes a request to a thread, or issues it if its issuer polls for it. The thread of the
    /// hardware queue has to be woken.
    #[inline]
    fn accept(&self, hctx: Hctx<'_, FileDisk>, rq: Request<FileDisk>) {
        let hw = hctx.data();
        let command = rq.command();
        self.counters.inc(command.into());
        if rq.is_fua() {
            self.counters.inc(Counter::Fua);
        }
        rq.data().done.store(0, Relaxed);
        if self.faults.should_time_out(&rq) {
            hw.faults.forget(rq);
        } else if !matches!(command, Command::Read | Command::Write) {
            self.sleeper.push(rq);
            self.sleeper.wake();
        } else if hctx.kind() == HctxType::Poll && rq.is_polled() && !rq.is_fua() {
            self.issue_polled(hw, rq);
        } else {
            hw.submitter.push(rq);
        }
    }

    /// Issues a request here, because a thread would have to be woken, and its issuer would have
    /// nothing to poll before that.
    #[inline]
    fn issue_polled(&self, hw: &HwData, rq: Request<FileDisk>) {
        if let Err(err) = self.check_bad(&rq) {
            return end(rq, Err(err));
        }
        // What has come before must not wait for this, which may sleep for memory or requests below.
        hw.submitter.wake();
        if let Err(rq) = rq.transfer_polled() {
            self.counters.inc(Counter::NotPolled);
            hw.submitter.push(rq);
        }
    }

    /// Fails a request with a bad sector.
    #[inline]
    fn check_bad(&self, rq: &Request<FileDisk>) -> BlkResult {
        match self.storage.first_bad(rq.sector(), rq.bytes()) {
            None => Ok(()),
            Some(bad) => {
                if self.badblocks_once {
                    // Fails only if the set is full and has changed meanwhile, so that the range is
                    // a part of another one.
                    let _ = self.storage.bad().set_good(bad);
                }
                Err(BlkError::IOERR)
            }
        }
    }

    /// Carries out a request that is neither a read nor a write.
    fn carry_out(&self, rq: &Request<FileDisk>, io: &MayIo) -> BlkResult {
        let (pos, len) = (rq.sector() << SECTOR_SHIFT, u64::from(rq.bytes()));
        let result = match rq.command() {
            Command::Flush => self.file.sync(io),
            Command::WriteZeroes if rq.must_keep_space() => self.file.zero(pos, len, io),
            Command::Discard | Command::WriteZeroes => self.file.deallocate(pos, len, io),
            _ => Err(EOPNOTSUPP),
        };
        result.map_err(|err| match err {
            // The block device below has larger blocks. The block layer writes zeroes in this case.
            EINVAL if rq.command() != Command::Flush => BlkError::NOTSUPP,
            EOPNOTSUPP => {
                rq.disable_command();
                BlkError::NOTSUPP
            }
            other => other.into(),
        })
    }
}

/// Ends a request, from any context.
fn end(rq: Request<FileDisk>, result: BlkResult) {
    if result.is_err() {
        rq.hctx()
            .queue_data()
            .get_ref()
            .counters
            .inc(Counter::Error);
    }
    rq.data().set(result);
    rq.complete();
}

impl RequestData {
    fn set(&self, result: BlkResult) {
        self.result
            .store(u32::from(BlkError::into_raw(result)), Relaxed);
    }

    fn get(&self) -> BlkResult {
        // CAST: It was made from a `blk_status_t`, which has 8 bits.
        BlkError::from_raw(self.result.load(Relaxed) as u8)
    }
}

#[vtable]
impl Operations for FileDisk {
    type Module = crate::LocalModule;
    type QueueData = Pin<KBox<QueueData>>;
    type HwData = HwData;
    type RequestData = RequestData;
    type Timer = NoTimer;
    type File = FileTransfer<Self>;
    type Zones = NoZones;

    fn init_hctx(disk: BorrowedQueueData<'_, Self>, _index: u32) -> impl PinInit<HwData, Error> {
        try_pin_init!(HwData {
            faults <- HwFaults::new(&disk.get_ref().faults),
            submitter <- RequestThread::new(c"rnull_dio_submit"),
            polled <- PolledTransfers::new(&disk.get_ref().file),
        })
    }

    fn new_request_data() -> impl PinInit<RequestData, Error> {
        Ok(RequestData {
            done: Atomic::new(0),
            result: Atomic::new(0),
        })
    }

    #[inline]
    fn queue_rq<'a>(
        hctx: Hctx<'_, Self>,
        rq: IdleRequest<'a, Self>,
        is_last: bool,
    ) -> Result<(), Rejected<'a, Self>> {
        let disk = hctx.queue_data().get_ref();
        let result = if disk.faults.should_requeue() {
            disk.counters.inc(Counter::Requeue);
            hctx.data().faults.requeue(rq)
        } else {
            disk.accept(hctx, rq.start());
            Ok(())
        };
        if is_last {
            // Others may have come before.
            hctx.data().submitter.wake();
        }
        result
    }

    fn commit_rqs(hctx: Hctx<'_, Self>) {
        hctx.data().submitter.wake();
    }

    fn complete(rq: Request<Self>) {
        match (rq.command(), rq.data().get()) {
            // Nothing is wrong: the block layer discards nothing, or writes zeroes as data.
            (Command::Discard | Command::WriteZeroes, Err(BlkError::NOTSUPP)) => {
                rq.end_not_supported();
            }
            (_, result) => rq.end(result),
        }
    }

    fn poll(hctx: Hctx<'_, Self>, mut batch: IoCompBatch<'_>) -> Option<u32> {
        hctx.data().polled.poll(&mut batch)
    }

    fn timeout(rq: &ExpiredRequest<'_, Self>) -> TimeoutAction {
        let hctx = rq.hctx();
        match hctx.data().faults.take(rq) {
            Some(rq) => {
                hctx.queue_data().get_ref().counters.inc(Counter::Timeout);
                rq.end(Err(BlkError::TIMEOUT));
                TimeoutAction::Done
            }
            // The file has it, or a thread, however long that takes.
            None => TimeoutAction::ResetTimer,
        }
    }
}

impl ThreadOperations for FileDisk {
    fn serve(rq: Request<Self>, io: &MayIo) {
        let disk = rq.hctx().queue_data().get_ref();
        let command = rq.command();
        if command != Command::Flush {
            if let Err(err) = disk.check_bad(&rq) {
                return end(rq, Err(err));
            }
        }
        if matches!(command, Command::Read | Command::Write) {
            let done = rq.data().done.load(Relaxed);
            rq.transfer(done, io);
        } else {
            let result = disk.carry_out(&rq, io);
            end(rq, result);
        }
    }
}

impl TransferOperations for FileDisk {
    fn file(hctx: Hctx<'_, Self>) -> &BackingFile {
        &hctx.queue_data().get_ref().file
    }

    fn polled<'a>(hctx: Hctx<'a, Self>) -> &'a PolledTransfers {
        &hctx.data().polled
    }

    fn transferred(rq: Request<Self>, result: Result<u32>, was_polled: bool) {
        let bytes = match result {
            // The file has become shorter, or the write has no room.
            Ok(0) => return end(rq, Err(BlkError::IOERR)),
            Ok(bytes) => bytes,
            Err(err) => return end(rq, Err(err.into())),
        };
        let disk = rq.hctx().queue_data().get_ref();
        let done = rq.data().done.load(Relaxed) + bytes;
        if done >= rq.bytes() {
            if was_polled {
                disk.counters.inc(Counter::Polled);
            }
            return end(rq, Ok(()));
        }
        rq.data().done.store(done, Relaxed);
        disk.counters.inc(Counter::Resumed);
        rq.serve_later(|hctx| &hctx.data().submitter);
    }

    fn would_sleep(rq: Request<Self>) {
        let disk = rq.hctx().queue_data().get_ref();
        disk.counters.inc(Counter::NotPolled);
        rq.serve_later(|hctx| &hctx.data().submitter);
    }
}
