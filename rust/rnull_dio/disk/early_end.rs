// SPDX-License-Identifier: GPL-2.0

//! Tests of blk-mq with a driver that ends a request long before it returns from `queue_rq`.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Completion, //
    },
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        Delta, //
    }, //
};

use kernel_ext::{
    block::{
        bio::Bio,
        mq::{
            BorrowedQueueData,
            Flags,
            GenDisk,
            GenDiskBuilder,
            Hctx,
            IdleRequest,
            NoFile,
            NoTimer,
            NoZones,
            Operations,
            QueueCounts,
            Rejected,
            Request,
            TagSet,
            TagSetConfig, //
        },
        BdevFile, //
    },
    context::MayIo,
    numa::Node,
    workqueue::{
        IoWork,
        IoWorkItem,
        OwnedQueue, //
    },
};

/// How long `queue_rq` goes on after it has ended the request.
const PAUSE_MS: i64 = 500;

/// Whether `queue_rq` pauses.
static PAUSES: Atomic<bool> = Atomic::new(false);

/// Whether a request has been ended by a `queue_rq` that pauses.
static ENDED: Atomic<bool> = Atomic::new(false);

/// Whether a `queue_rq` that pauses has not returned.
static DISPATCHING: Atomic<bool> = Atomic::new(false);

/// How often something of the driver was freed while a `queue_rq` had not returned.
static FREED_EARLY: Atomic<u32> = Atomic::new(0);

/// Driver data that must not be freed during `queue_rq`.
struct Watched;

impl Drop for Watched {
    fn drop(&mut self) {
        if DISPATCHING.load(Relaxed) {
            FREED_EARLY.fetch_add(1, Relaxed);
        }
    }
}

struct EarlyEnd<const BLOCKING: bool>;

#[vtable]
impl<const BLOCKING: bool> Operations for EarlyEnd<BLOCKING> {
    type Module = crate::LocalModule;
    type QueueData = KBox<Watched>;
    type HwData = Watched;
    type RequestData = ();
    type Timer = NoTimer;
    type File = NoFile;
    type Zones = NoZones;

    fn init_hctx(_disk: BorrowedQueueData<'_, Self>, _index: u32) -> impl PinInit<Watched, Error> {
        Ok(Watched)
    }

    fn new_request_data() -> impl PinInit<(), Error> {
        Ok(())
    }

    fn queue_rq<'a>(
        hctx: Hctx<'_, Self>,
        rq: IdleRequest<'a, Self>,
        _is_last: bool,
    ) -> Result<(), Rejected<'a, Self>> {
        let pauses = PAUSES.load(Relaxed);
        DISPATCHING.store(pauses, Relaxed);
        rq.start().end(Ok(()));
        if pauses {
            ENDED.store(true, Relaxed);
            pause(BLOCKING);
            // Both are still there: KASAN sees these accesses.
            let _: (&Watched, &Watched) = (hctx.data(), hctx.queue_data());
            DISPATCHING.store(false, Relaxed);
        }
        Ok(())
    }

    fn complete(rq: Request<Self>) {
        rq.end(Ok(()));
    }
}

fn pause(may_sleep: bool) {
    if may_sleep {
        fsleep(Delta::from_millis(PAUSE_MS));
    } else {
        for _ in 0..PAUSE_MS {
            udelay(Delta::from_millis(1));
        }
    }
}

/// Reads the first sector of a device, in the task of a workqueue.
#[pin_data]
struct Reader {
    device: BdevFile,
    #[pin]
    done: Completion,
}

impl Reader {
    fn new(device: BdevFile) -> impl PinInit<Self> {
        pin_init!(Self {
            device,
            done <- Completion::new(),
        })
    }

    fn read(&self, io: &MayIo) -> Result {
        let mut buf = KVec::from_elem(0, 512, GFP_KERNEL)?;
        let bio = Bio::read(&self.device, 0, &mut buf, io)?;
        bio.submit_and_wait(io)
    }
}

impl IoWorkItem for Reader {
    fn run(&self, io: &MayIo) {
        if let Err(error) = self.read(io) {
            pr_err!("the read of the test failed: {error:?}\n");
        }
        self.done.complete_all();
    }
}

fn disk<const BLOCKING: bool>() -> Result<GenDisk<EarlyEnd<BLOCKING>>> {
    let config = TagSetConfig {
        queues: QueueCounts {
            default: 2,
            read: 0,
            poll: 0,
        },
        queue_depth: 4,
        flags: Flags::Blocking.only_if(BLOCKING),
        node: Node::ANY,
        timeout: 0,
    };
    GenDiskBuilder::new().capacity_sectors(8).build(
        c"rnull_dio_kunit",
        Arc::pin_init(TagSet::new(config), GFP_KERNEL)?,
        KBox::new(Watched, GFP_KERNEL)?,
        None,
    )
}

/// Calls `f` with a disk during a `queue_rq` that has ended its request.
fn during_dispatch<const BLOCKING: bool>(f: impl FnOnce(GenDisk<EarlyEnd<BLOCKING>>)) -> Result {
    let disk = disk()?;
    FREED_EARLY.store(0, Relaxed);
    ENDED.store(false, Relaxed);
    PAUSES.store(true, Relaxed);
    let queue = OwnedQueue::new(c"rnull_dio_kunit")?;
    let reader = IoWork::new(Reader::new(BdevFile::open(disk.part0())?), &queue)?;
    reader.clone().enqueue();
    while !ENDED.load(Relaxed) {
        fsleep(Delta::from_millis(1));
    }
    f(disk);
    reader.done.wait_for_completion();
    PAUSES.store(false, Relaxed);
    Ok(())
}

#[kunit_tests(rnull_dio_early_end)]
mod tests {
    use super::*;

    /// Returns whether a dispatcher is in `queue_rq` after another task has waited for it.
    fn dispatches_after_wait<const BLOCKING: bool>() -> Result<bool> {
        let mut dispatches = true;
        during_dispatch::<BLOCKING>(|disk| {
            disk.tag_set().wait_for_dispatchers();
            dispatches = DISPATCHING.load(Relaxed);
        })?;
        Ok(dispatches)
    }

    #[test]
    fn dispatchers_are_waited_for() -> Result {
        assert!(!dispatches_after_wait::<true>()?);
        assert!(!dispatches_after_wait::<false>()?);
        Ok(())
    }

    #[test]
    fn nothing_is_freed_before_dispatchers_return() -> Result {
        during_dispatch::<true>(drop)?;
        assert_eq!(FREED_EARLY.load(Relaxed), 0);
        during_dispatch::<false>(drop)?;
        assert_eq!(FREED_EARLY.load(Relaxed), 0);
        Ok(())
    }
}
