// SPDX-License-Identifier: GPL-2.0

//! Completions that neither an interrupt nor the issuer can run.

use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::Arc,
    workqueue::{
        Work,
        WorkItem, //
    },
};

use kernel_ext::{
    block::bio::{
        EndedHead,
        RedirtyBio, //
    },
    sync::llist::LockFreeList,
    workqueue::QueueHandle, //
};

use super::{
    complete,
    DioFile,
    Engine, //
};

/// The work item of a file, for all of its requests: those that are there together share a flush.
#[pin_data]
pub(crate) struct Worker<F: DioFile> {
    ended: LockFreeList<EndedHead<F>>,
    /// Bios of requests that may still be under way.
    redirty: LockFreeList<RedirtyBio>,
    queue: QueueHandle,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{F: DioFile} HasWork<Self> for Worker<F> { self.work }
}

impl<F: DioFile> Worker<F> {
    /// Creates the worker of a file. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(engine: &Engine<F>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                ended: LockFreeList::new(),
                redirty: LockFreeList::new(),
                queue: engine.queue.handle(),
                work <- new_work!("rnull_dio::Worker"),
            }),
            GFP_KERNEL,
        )
    }

    fn wake(self: Arc<Self>) {
        // If it is queued already, it has not looked yet.
        self.queue.clone().enqueue(self);
    }
}

/// Lets the worker of its file finish a request. Any context.
pub(super) fn push<F: DioFile>(head: EndedHead<F>) {
    // The request keeps the worker no longer than until it is in the list.
    let worker = head.kiocb().target().worker().clone();
    if worker.ended.push(head) {
        worker.wake();
    }
}

/// Lets the worker of `file` mark the pages of a bio dirty. Any context.
pub(super) fn push_redirty<F: DioFile>(file: &F, bio: RedirtyBio) {
    if file.worker().redirty.push(bio) {
        file.worker().clone().wake();
    }
}

impl<F: DioFile> WorkItem for Worker<F> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        for bio in this.redirty.take_all() {
            bio.redirty();
        }
        // The data of all that is taken here is on the device, so that a flush that begins now
        // makes it durable.
        let mut flushed = None;
        for head in this.ended.take_all() {
            let flushed = if complete::must_flush(head.data()) {
                let device = &head.kiocb().target().engine().device;
                *flushed.get_or_insert_with(|| device.issue_flush())
            } else {
                Ok(())
            };
            let (kiocb, ret) = complete::after_flush(head, flushed);
            kiocb.complete(ret);
        }
    }
}
