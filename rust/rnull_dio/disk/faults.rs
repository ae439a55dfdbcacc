// SPDX-License-Identifier: GPL-2.0

//! Fault injection: requests that time out, requests that are requeued, and hardware queues that cannot
//! be made. The points and what they do are those of null_blk.

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
    }, //
};

use kernel_ext::{
    block::mq::{
        ExpiredRequest,
        IdleRequest,
        Operations,
        Rejected,
        Request,
        RequestList, //
    },
    fault_inject::{
        FaultConfig,
        FaultGroup,
        HAS_CONFIGFS, //
    }, //
};

/// The names of the directories of the points.
const NAMES: &[&CStr; 3] = &[
    c"timeout_inject",
    c"requeue_inject",
    c"init_hctx_fault_inject",
];

/// The points of fault injection of a disk.
#[derive(Clone)]
pub(crate) struct Faults {
    timeout: FaultConfig,
    requeue: FaultConfig,
    init_hctx: FaultConfig,
    /// Whether requests are spared.
    lifted: Arc<Atomic<bool>>,
}

impl Faults {
    /// Makes the points, and their directories.
    pub(super) fn new() -> Result<(Self, [FaultGroup; NAMES.len()])> {
        let [timeout, requeue, init_hctx] = NAMES;
        let (timeout, timeout_group) = FaultConfig::new(timeout)?;
        let (requeue, requeue_group) = FaultConfig::new(requeue)?;
        let (init_hctx, init_hctx_group) = FaultConfig::new(init_hctx)?;
        let faults = Self {
            timeout,
            requeue,
            init_hctx,
            lifted: Arc::new(Atomic::new(false), GFP_KERNEL)?,
        };
        Ok((faults, [timeout_group, requeue_group, init_hctx_group]))
    }

    /// Returns the names of the directories that disks have on this kernel.
    pub(super) fn names() -> &'static [&'static CStr] {
        if HAS_CONFIGFS {
            NAMES
        } else {
            &[]
        }
    }

    /// Returns the points for a disk, until it calls [`Self::lift`].
    pub(super) fn for_disk(&self) -> Result<Self> {
        Ok(Self {
            lifted: Arc::new(Atomic::new(false), GFP_KERNEL)?,
            ..self.clone()
        })
    }

    /// Spares all requests that follow. To be called before the disk is removed, which waits for them,
    /// and during which the directories cannot be used.
    pub(super) fn lift(&self) {
        self.lifted.store(true, Relaxed);
    }

    /// Returns whether to requeue the next request.
    #[inline]
    pub(super) fn should_requeue(&self) -> bool {
        self.requeue.should_fail() && !self.lifted.load(Relaxed)
    }

    /// Returns whether to forget a request, so that it times out.
    #[inline]
    pub(super) fn should_time_out<T: Operations>(&self, rq: &Request<T>) -> bool {
        self.timeout.should_fail() || rq.should_fake_timeout()
    }
}

/// The data of a hardware queue for fault injection.
#[pin_data]
pub(super) struct HwFaults<T: Operations> {
    /// Requests that wait for the timeout. The lock is never taken in interrupts.
    #[pin]
    forgotten: SpinLock<RequestList<T>>,
    /// How many requests have been requeued.
    requeued: Atomic<u32>,
}

impl<T: Operations> HwFaults<T> {
    /// Makes the data of a hardware queue.
    ///
    /// # Errors
    ///
    /// [`EFAULT`], by injection.
    pub(super) fn new(faults: &Faults) -> impl PinInit<Self, Error> {
        let requeued = if faults.init_hctx.should_fail() {
            Err(EFAULT)
        } else {
            Ok(Atomic::new(0))
        };
        try_pin_init!(Self {
            forgotten <- new_spinlock!(RequestList::new(), "rnull_dio_forgotten"),
            requeued: requeued?,
        })
    }

    /// Keeps a request until it times out.
    #[cold]
    pub(super) fn forget(&self, rq: Request<T>) {
        self.forgotten.lock().push_tail(rq);
    }

    /// Takes a request that has timed out, if it was forgotten.
    pub(super) fn take(&self, rq: &ExpiredRequest<'_, T>) -> Option<Request<T>> {
        self.forgotten.lock().remove(rq)
    }

    /// Requeues a request. Every other time, the driver returns it as busy, so that the block layer
    /// requeues it; otherwise the driver requeues it itself.
    #[cold]
    pub(super) fn requeue<'a>(&self, rq: IdleRequest<'a, T>) -> Result<(), Rejected<'a, T>> {
        if self.requeued.fetch_add(1, Relaxed) % 2 == 0 {
            return Err(rq.busy(false));
        }
        rq.requeue();
        Ok(())
    }
}
