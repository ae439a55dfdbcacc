// SPDX-License-Identifier: GPL-2.0

//! The queues of a file's work items. [`worker`](super::worker) and [`redirty`](super::redirty)
//! fill and process them.

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
    pub(super) ended: LockLessList<EndedDio<T>>,
    #[pin]
    pub(super) group: FlushGroup,
}

impl<T: DioTarget> WorkerQueue<T> {
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ended: LockLessList::new(),
            group <- FlushGroup::new(),
        })
    }
}

/// Reads with pages to mark dirty.
pub(crate) struct RedirtyQueue<T: DioTarget> {
    /// Bios of requests that may still be in flight.
    pub(super) bios: LockLessList<RedirtyBio>,
    /// Requests of which all bios have ended.
    pub(super) ended: LockLessList<EndedDio<T>>,
}

impl<T: DioTarget> RedirtyQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            bios: LockLessList::new(),
            ended: LockLessList::new(),
        }
    }
}
