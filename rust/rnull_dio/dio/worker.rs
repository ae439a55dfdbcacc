// SPDX-License-Identifier: GPL-2.0

//! Completions that neither an interrupt nor the issuer can run.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
    time::{
        Instant,
        Monotonic, //
    },
};

use kernel_ext::{
    block::bio::{
        EndedHead,
        RedirtyBio, //
    },
    context::{
        Io,
        Task, //
    },
    fs::Kiocb,
    sync::{
        counter::AwaitedCounter,
        llist::{
            Batch,
            LockFreeList, //
        },
    },
    workqueue::{
        IoWork,
        IoWorkItem, //
    },
};

use super::{
    complete,
    stats::Event,
    DioFile,
    Engine, //
};

/// The longest that each of the two waits for others to share a flush with may take, in ns.
const PATIENCE: u64 = 2_000_000;

/// What the work item of a file is for: those of its requests that are there together share a flush.
#[pin_data]
pub(crate) struct Worker<F: DioFile> {
    ended: LockFreeList<EndedHead<F>>,
    /// Bios of requests that may still be under way.
    redirty: LockFreeList<RedirtyBio>,
    /// How many writes that want a flush have been submitted. A line that all who write share; the
    /// flush costs more.
    begun: Atomic<u64>,
    /// How many of them have ended.
    #[pin]
    arrived: AwaitedCounter,
    /// How many of those the last flush and the ones before it were for.
    flushed: Atomic<u64>,
    /// How many the last flush alone was for.
    batch: Atomic<u64>,
    /// How long the worker had to wait for as many as before, in ns; 0 if they did not all come.
    gather_time: Atomic<u64>,
    /// How long the last flush took, in ns.
    flush_time: Atomic<u64>,
}

impl<F: DioFile> Worker<F> {
    /// Creates the worker of a file. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(engine: &Engine<F>) -> Result<Arc<IoWork<Self>>> {
        let worker = pin_init!(Self {
            ended: LockFreeList::new(),
            redirty: LockFreeList::new(),
            begun: Atomic::new(0),
            arrived <- AwaitedCounter::new(),
            flushed: Atomic::new(0),
            batch: Atomic::new(0),
            gather_time: Atomic::new(0),
            flush_time: Atomic::new(0),
        });
        IoWork::new(worker, &engine.queue)
    }

    /// A write that wants a flush is about to be submitted, to be followed by
    /// [`has_arrived`](Self::has_arrived).
    pub(super) fn expect_write(&self) {
        self.begun.add(1, Relaxed);
    }

    /// Such a write has ended, and is on the list if it is to be on it. Any context.
    pub(super) fn has_arrived(&self) {
        self.arrived.inc();
    }

    /// Waits for other writes to share the flush with.
    fn gather(&self, task: &Task) {
        self.await_as_many_as_before(task);
        self.await_those_under_way(task);
        let arrived = self.arrived.get();
        self.batch
            .store(arrived - self.flushed.xchg(arrived, Relaxed), Relaxed);
    }

    /// Waits until there are as many writes as the last flush was for: whoever was told of one
    /// then is likely to be writing the next. For twice as long as that took last time, or as long
    /// as the flush took, but no longer than a flush for each would take. If they do not come, fewer
    /// are waited for next time.
    fn await_as_many_as_before(&self, task: &Task) {
        let (batch, flush_time) = (self.batch.load(Relaxed), self.flush_time.load(Relaxed));
        let limit = (2 * self.gather_time.load(Relaxed))
            .max(flush_time)
            .min(batch.saturating_mul(flush_time))
            .min(PATIENCE);
        let wanted = self.flushed.load(Relaxed) + batch;
        let begin = Instant::<Monotonic>::now();
        self.arrived.wait_for(wanted, limit, task);
        let gather_time = if self.arrived.get() >= wanted {
            // CAST: Time does not go back.
            begin.elapsed().as_nanos() as u64
        } else {
            0
        };
        self.gather_time.store(gather_time, Relaxed);
    }

    /// Waits until no write that wants a flush is under way, for no longer than the last flush
    /// took. This is how batches grow.
    fn await_those_under_way(&self, task: &Task) {
        // CAST: A flush takes no years.
        let limit = self.flush_time.load(Relaxed).min(PATIENCE) as i64;
        let mut left = limit;
        let begin = Instant::<Monotonic>::now();
        let mut expected = self.begun.load(Relaxed);
        while left > 0 {
            // CAST: It is positive.
            self.arrived.wait_for(expected, left as u64, task);
            let begun = self.begun.load(Relaxed);
            if begun == expected {
                break;
            }
            expected = begun;
            left = limit - begin.elapsed().as_nanos();
        }
    }

    fn flush_device(&self, engine: &Engine<F>, io: &Io) -> Result {
        let begin = Instant::<Monotonic>::now();
        engine.stats.count(Event::WorkerFlush);
        let ret = engine.device.issue_flush(io);
        // CAST: Time does not go back.
        self.flush_time
            .store(begin.elapsed().as_nanos() as u64, Relaxed);
        ret
    }

    /// Finishes what has ended, but for writes that want a flush: those go to `durable`.
    fn finish_or_keep(&self, durable: &LockFreeList<EndedHead<F>>, io: &Io) {
        for mut head in self.ended.take_all() {
            if complete::must_flush(head.data_mut()) {
                durable.push(head);
            } else {
                tell(complete::after_flush(head, Ok(()), io));
            }
        }
    }

    /// Finishes writes that want a flush, all of which have ended, with one.
    fn make_durable(&self, batch: Batch<EndedHead<F>>, io: &Io) {
        let mut flushed = None;
        for head in batch {
            let engine = head.kiocb().target().engine();
            let flushed = *flushed.get_or_insert_with(|| self.flush_device(engine, io));
            engine.stats.count(Event::Flushed);
            tell(complete::after_flush(head, flushed, io));
        }
    }
}

/// Tells the issuer what has become of its request.
fn tell<F: DioFile>((kiocb, ret): (Kiocb<F>, Result<usize>)) {
    kiocb.complete(ret);
}

/// Lets the worker of its file finish a request. Any context.
pub(super) fn push<F: DioFile>(head: EndedHead<F>) {
    let expected = head.data().is_expected;
    push_to_worker(head, expected);
}

/// Lets the worker of its file finish a request that was sent to somebody else before, and which the
/// worker has been told of. Any context.
pub(super) fn push_late<F: DioFile>(head: EndedHead<F>) {
    push_to_worker(head, false);
}

fn push_to_worker<F: DioFile>(head: EndedHead<F>, expected: bool) {
    // The request keeps the worker no longer than until it is in the list.
    let worker = head.kiocb().target().worker().clone();
    let first = worker.ended.push(head);
    if expected {
        worker.has_arrived();
    }
    if first {
        // If it is queued already, it has not looked yet.
        worker.enqueue();
    }
}

/// Tells the worker that a request which it may expect has ended, but is somebody else's. Any context.
pub(super) fn not_for<F: DioFile>(head: &EndedHead<F>) {
    if head.data().is_expected {
        head.kiocb().target().worker().has_arrived();
    }
}

/// Lets the worker of `file` mark the pages of a bio dirty. Any context.
pub(super) fn push_redirty<F: DioFile>(file: &F, bio: RedirtyBio) {
    if file.worker().redirty.push(bio) {
        file.worker().clone().enqueue();
    }
}

impl<F: DioFile> IoWorkItem for Worker<F> {
    fn run(&self, io: &Io) {
        for bio in self.redirty.take_all() {
            bio.redirty(io);
        }
        let durable = LockFreeList::new();
        self.finish_or_keep(&durable, io);
        if durable.is_empty() {
            return;
        }
        self.gather(io);
        self.finish_or_keep(&durable, io);
        // The data of all that has been kept is on the device, so that a flush that begins now
        // makes it durable.
        self.make_durable(durable.take_all(), io);
    }
}
