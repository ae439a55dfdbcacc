// SPDX-License-Identifier: GPL-2.0

//! Tests of blk-mq with a driver that ends a request long before it returns from `queue_rq`, and that
//! can run out of memory.

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

/// How often the data of a hardware queue were made.
static MADE: Atomic<u32> = Atomic::new(0);

/// Whether there is memory for the data of a hardware queue.
static HCTX_FAILS: Atomic<bool> = Atomic::new(false);

/// For the data of how many requests there is memory, before there is none for one; negative if there
/// always is.
static REQUESTS_LEFT: Atomic<i32> = Atomic::new(-1);

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
        if HCTX_FAILS.load(Relaxed) {
            return Err(ENOMEM);
        }
        MADE.fetch_add(1, Relaxed);
        Ok(Watched)
    }

    fn new_request_data() -> impl PinInit<(), Error> {
        let left = REQUESTS_LEFT.load(Relaxed);
        REQUESTS_LEFT.store((left - 1).max(-1), Relaxed);
        if left == 0 {
            return Err(ENOMEM);
        }
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

/// Returns `default` hardware queues.
const fn queues(default: u32) -> QueueCounts {
    QueueCounts {
        default,
        read: 0,
        poll: 0,
    }
}

fn tag_set<const BLOCKING: bool>(flags: Flags) -> Result<Arc<TagSet<EarlyEnd<BLOCKING>>>> {
    let config = TagSetConfig {
        queues: queues(2),
        queue_depth: 4,
        flags: flags | Flags::Blocking.only_if(BLOCKING),
        node: Node::ANY,
        timeout: 0,
    };
    Arc::pin_init(TagSet::new(config), GFP_KERNEL)
}

fn disk_with<const BLOCKING: bool>(
    name: &CStr,
    tag_set: Arc<TagSet<EarlyEnd<BLOCKING>>>,
) -> Result<GenDisk<EarlyEnd<BLOCKING>>> {
    let data = KBox::new(Watched, GFP_KERNEL)?;
    GenDiskBuilder::new()
        .capacity_sectors(8)
        .build(name, tag_set, data, None)
}

fn disk<const BLOCKING: bool>() -> Result<GenDisk<EarlyEnd<BLOCKING>>> {
    disk_with(c"rnull_dio_kunit", tag_set(Flags::default())?)
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
    use core::ops::Range;
    use kernel::cpu::nr_cpu_ids;
    use kernel_ext::block::mq::HctxType;

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

    /// Changes the queues of a disk to fewer, and more, and fewer again.
    fn change<const BLOCKING: bool>(disk: GenDisk<EarlyEnd<BLOCKING>>) {
        for nr in [1, 2, 1] {
            assert_eq!(disk.set_queues(queues(nr)), Ok(()));
            assert_eq!(disk.tag_set().queues(), queues(nr));
        }
    }

    #[test]
    fn queues_change_while_a_dispatcher_is_in_the_driver() -> Result {
        if nr_cpu_ids() < 2 {
            return Ok(());
        }
        during_dispatch::<true>(change)?;
        assert_eq!(FREED_EARLY.load(Relaxed), 0);
        during_dispatch::<false>(change)?;
        assert_eq!(FREED_EARLY.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn queues_that_stay_keep_their_data() -> Result {
        if nr_cpu_ids() < 2 {
            return Ok(());
        }
        let disk = disk::<false>()?;
        let made = || MADE.load(Relaxed);
        let before = made();
        disk.set_queues(queues(1))?;
        assert_eq!(made(), before);
        disk.set_queues(queues(2))?;
        assert_eq!(made(), before + 1);
        disk.set_queues(queues(2))?;
        assert_eq!(made(), before + 1);
        Ok(())
    }

    #[test]
    fn queues_stay_if_there_is_no_memory_for_more() -> Result {
        if nr_cpu_ids() < 2 {
            return Ok(());
        }
        // With shared requests, blk-mq makes a request for each queue only, while the disk is frozen.
        for (flags, requests) in [
            (Flags::default(), 0),
            (Flags::default(), 5),
            (Flags::SharedTags, 1),
        ] {
            let disk = disk_with(c"rnull_dio_kunit", tag_set::<true>(flags)?)?;
            disk.set_queues(queues(1))?;

            HCTX_FAILS.store(true, Relaxed);
            let result = disk.set_queues(queues(2));
            HCTX_FAILS.store(false, Relaxed);
            assert_eq!(result, Err(ENOMEM));
            assert_eq!(disk.tag_set().queues(), queues(1));

            REQUESTS_LEFT.store(requests, Relaxed);
            let result = disk.set_queues(queues(2));
            assert_eq!(REQUESTS_LEFT.load(Relaxed), -1);
            assert_eq!(result, Err(ENOMEM));
            assert_eq!(disk.tag_set().queues(), queues(1));
            assert_eq!(queue_range(&disk), Some(0..1));

            disk.set_queues(queues(2))?;
            assert_eq!(queue_range(&disk), Some(0..2));
        }
        Ok(())
    }

    fn queue_range<const BLOCKING: bool>(disk: &GenDisk<EarlyEnd<BLOCKING>>) -> Option<Range<u32>> {
        let map = disk.tag_set().map(HctxType::Default)?;
        Some(map.queues())
    }

    #[test]
    fn wrong_queues_are_refused() -> Result {
        let disk = disk::<false>()?;
        let before = disk.tag_set().queues();
        for wrong in [
            queues(0),
            QueueCounts {
                read: 1,
                ..queues(1)
            },
            QueueCounts {
                poll: 1,
                ..queues(1)
            },
        ] {
            assert_eq!(disk.set_queues(wrong), Err(EINVAL));
            assert_eq!(disk.tag_set().queues(), before);
        }
        Ok(())
    }

    #[test]
    fn queues_of_several_disks_do_not_change() -> Result {
        let tag_set = tag_set::<false>(Flags::default())?;
        let disk = disk_with(c"rnull_dio_kunit", tag_set.clone())?;
        let other = disk_with(c"rnull_dio_kunit1", tag_set)?;
        assert_eq!(disk.set_queues(queues(1)), Err(EBUSY));
        assert_eq!(other.set_queues(queues(1)), Err(EBUSY));
        drop(disk);
        assert_eq!(other.set_queues(queues(1)), Ok(()));
        Ok(())
    }
}
