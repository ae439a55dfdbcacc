// SPDX-License-Identifier: GPL-2.0

//! The queues of work items: of one file on a device, or of some of the files of an attached file
//! system. Modules `worker` and `redirty` fill and process them.

use kernel::prelude::*;

use kernel_ext::{
    dio::{
        DioTarget,
        EndedDio,
        RedirtyBio, //
    },
    sync::llist::LockLessList, //
};

use super::flush_group::FlushGroup;

/// Requests whose completion waits for the worker. Writes that are in the queue together share a
/// flush.
#[pin_data]
pub(crate) struct WorkerQueue<T: DioTarget> {
    pub(crate) ended: LockLessList<EndedDio<T>>,
    #[pin]
    pub(crate) group: FlushGroup,
}

impl<T: DioTarget> WorkerQueue<T> {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ended: LockLessList::new(),
            group <- FlushGroup::new(),
        })
    }
}

/// Reads with pages to mark dirty.
///
/// The pages are those of the readers' memory, and may belong to any file system. Their locks may be
/// held until a writeback is over that itself waits for a worker, so this has a queue of its own.
pub(crate) struct RedirtyQueue<T: DioTarget> {
    /// Bios of requests that may still be in flight.
    pub(crate) bios: LockLessList<RedirtyBio>,
    /// Requests of which all bios have ended.
    pub(crate) ended: LockLessList<EndedDio<T>>,
}

impl<T: DioTarget> RedirtyQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            bios: LockLessList::new(),
            ended: LockLessList::new(),
        }
    }
}
