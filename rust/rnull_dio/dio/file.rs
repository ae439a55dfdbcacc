// SPDX-License-Identifier: GPL-2.0

//! Files on the engine.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    context::{
        MayIo,
        MaySleep, //
    },
    dio::DioGate,
    fs::iomap::Extent,
    workqueue::IoWork, //
};

use super::{
    engine::Engine,
    queue::{
        RedirtyQueue,
        WorkerQueue, //
    },
    request::DioState, //
};

/// Whether a file has a completion hook, [`DioFile::end_io`], and what the hook relies on.
#[cfg_attr(
    not(CONFIG_KUNIT),
    expect(dead_code, reason = "for file systems to come")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndIoHook {
    /// There is no hook.
    None,
    /// The hook relies on the request being counted in `i_dio_count` until it has returned, for
    /// example because the file must not be truncated. A submitter, a waiter or the worker runs it.
    Counted,
    /// The hook does not rely on the request being counted.
    Uncounted,
}

/// A file, as its file system describes it to the engine.
pub(crate) trait DioFile: Sized + Send + Sync + 'static {
    /// Whether there is a completion hook.
    const END_IO: EndIoHook = EndIoHook::None;

    /// Called when all bios of a request have ended, before its issuer gets the result, unless
    /// [`END_IO`](Self::END_IO) is [`EndIoHook::None`].
    ///
    /// # Errors
    ///
    /// The error that the issuer gets, if there was none before.
    fn end_io(&self, _dio: &DioState, _ctx: &MaySleep) -> Result {
        Ok(())
    }

    /// Returns the size of the file in bytes.
    fn size(&self) -> u64;

    /// Maps `len` bytes at `pos`, as [`Mapping::map`](kernel_ext::fs::iomap::Mapping::map).
    ///
    /// # Errors
    ///
    /// The error that the issuer gets.
    fn map(&self, pos: u64, len: u64) -> Result<Extent>;
}

/// A file of a file system, with what the engine needs for it.
pub(crate) struct File<F: DioFile> {
    pub(crate) inner: F,
    engine: Arc<Engine<Self>>,
    worker: Arc<IoWork<WorkerQueue<Self>>>,
    redirty: Arc<IoWork<RedirtyQueue<Self>>>,
    pub(crate) gate: DioGate,
}

impl<F: DioFile> File<F> {
    /// Creates a file on the device of `engine`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(inner: F, engine: &Arc<Engine<Self>>) -> Result<Self> {
        Ok(Self {
            inner,
            engine: engine.clone(),
            worker: IoWork::new(WorkerQueue::new(), &engine.queue)?,
            redirty: IoWork::new(RedirtyQueue::new(), &engine.redirty_queue)?,
            gate: DioGate::new(),
        })
    }

    /// Returns the engine.
    #[inline]
    pub(crate) fn engine(&self) -> &Engine<Self> {
        &self.engine
    }

    /// Returns the worker, with the requests that wait for it.
    #[inline]
    pub(super) fn worker(&self) -> &Arc<IoWork<WorkerQueue<Self>>> {
        &self.worker
    }

    /// Returns the work item that marks pages dirty, with the reads that wait for it.
    #[inline]
    pub(super) fn redirty(&self) -> &Arc<IoWork<RedirtyQueue<Self>>> {
        &self.redirty
    }

    /// Makes what has been written durable: waits for writes that have ended, although their
    /// issuers may not have the result yet, and flushes the device's cache. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The device's error.
    pub(crate) fn fsync(&self, io: &MayIo) -> Result {
        self.worker.flush(io);
        self.engine.device.issue_flush(io)
    }
}
