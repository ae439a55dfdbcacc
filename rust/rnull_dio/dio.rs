// SPDX-License-Identifier: GPL-2.0

//! Direct I/O engine.
//!
//! A request passes through these files in turn: [`range`] checks it, [`submit`] maps it and
//! submits its bios, [`end_io`] collects them, [`route`] decides in whose context the rest of the
//! completion runs, and [`complete`] is that rest. Contexts other than the issuer's own and the
//! interrupt's are [`poll`] and [`worker`].
//!
//! Files are the users of the engine; it knows them by [`DioFile`] alone.

mod complete;
mod end_io;
mod poll;
mod range;
mod request;
mod route;
mod stats;
mod submit;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod worker;

pub(crate) use self::{
    end_io::end_io,
    poll::poll,
    range::Direction,
    request::Dio,
    stats::Stats,
    submit::submit,
    worker::Worker, //
};

use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

use kernel_ext::{
    block::{
        bio::{
            BioSet,
            BioTarget,
            EndedHead, //
        },
        BlockDevice,
    },
    sync::llist::LockFreeList,
    workqueue::OwnedQueue,
};

/// A range of a file that lies on the device in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where it begins on the device, in sectors of 512 bytes.
    pub(crate) sector: u64,
    /// How long it is, in bytes; a multiple of the logical block size.
    pub(crate) len: u64,
}

/// A file that direct I/O is done on.
pub(crate) trait DioFile: BioTarget<Data = Dio> {
    /// What the file shares with the others on its device.
    fn engine(&self) -> &Engine<Self>;

    /// Who finishes requests of this file that cannot be finished in an interrupt.
    fn worker(&self) -> &Arc<Worker<Self>>;

    /// The size of the file in bytes.
    fn size(&self) -> u64;

    /// Maps the range that begins at `pos` and is wanted for `len` bytes, both multiples of the
    /// logical block size, to the device. What is returned may be longer or, but for 0, shorter.
    ///
    /// # Errors
    ///
    /// Whatever the issuer shall get.
    fn map(&self, pos: u64, len: u64) -> Result<Extent>;
}

/// What the files on a device have in common.
#[pin_data]
pub(crate) struct Engine<F: DioFile> {
    /// Where the data is.
    pub(crate) device: ARef<BlockDevice>,
    /// The unit of positions and lengths, in bytes.
    pub(crate) block_size: u32,
    /// What addresses of memory must be free of.
    dma_mask: u32,
    /// Can bios be polled for?
    pollable: bool,
    /// Polled requests that have ended. One list for all files: whoever polls the device reaps
    /// whatever has ended on its queue.
    polled: LockFreeList<EndedHead<F>>,
    pub(crate) stats: Arc<Stats>,
    /// Runs the workers. Declared before the bios, so that it is drained before they are gone.
    queue: OwnedQueue,
    /// Requests, each in one allocation with its first bio.
    #[pin]
    pub(crate) bios: BioSet<F>,
}

impl<F: DioFile> Engine<F> {
    /// Creates the engine for the files on `device`, which is called `name`. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(device: ARef<BlockDevice>, name: &CStr) -> Result<Arc<Self>> {
        let stats = Arc::new(Stats::new()?, GFP_KERNEL)?;
        let queue = OwnedQueue::new_mem_reclaim(name)?;
        Arc::pin_init(
            try_pin_init!(Self {
                block_size: device.logical_block_size(),
                dma_mask: device.dma_alignment_mask(),
                pollable: device.is_mq(),
                polled: LockFreeList::new(),
                stats,
                queue,
                bios <- BioSet::new(),
                device,
            }),
            GFP_KERNEL,
        )
    }
}
