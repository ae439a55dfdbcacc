// SPDX-License-Identifier: GPL-2.0

//! blk-mq: the multi-queue block layer, for drivers.
//!
//! # Ownership of requests
//!
//! A request belongs to the block layer or to the driver, never to both, and its type says to
//! which. There is no reference count.
//!
//! | state | type | how it ends |
//! |---|---|---|
//! | handed to the driver, not started | [`IdleRequest`] | `start()`, or `busy()`/`fail()`/`requeue()`, which give it back |
//! | started, owned by the driver | [`Request`] | `end()`, or one of the next three |
//! | kept by the driver for later | in a [`RequestList`] | taken out of the list: [`Request`] |
//! | in the list of a thread | in a [`RequestThread`] | [`ThreadOperations::serve`]: [`Request`] |
//! | being read from or written to a file | in its [`FileTransfer`] | [`TransferOperations::transferred`]: [`Request`] |
//! | owned by a timer | in its [`RequestTimer`] | [`TimerOperations::timer_expired`]: [`Request`] |
//! | on its way to the completing CPU | nothing | [`Operations::complete`]: [`Request`] |
//! | seen by the timeout handler | [`ExpiredRequest`] | a borrow, whatever state it is in |
//! | ended | nothing | the block layer has it |
//!
//! A request that the driver drops by mistake ends with an error, so that its issuer does not wait
//! forever.
//!
//! C header: [`include/linux/blk-mq.h`](srctree/include/linux/blk-mq.h)

mod batch;
mod bvec_iter;
mod fops;
mod gen_disk;
mod gen_disk_builder;
mod hctx;
mod idle_request;
mod operations;
mod polled;
mod queues;
mod request;
mod request_list;
mod segment;
mod set_queues;
mod tag_set;
mod thread;
mod timer;
mod transfer;
mod zones;

pub use self::{
    batch::IoCompBatch,
    gen_disk::GenDisk,
    gen_disk_builder::GenDiskBuilder,
    hctx::{
        BorrowedQueueData,
        Hctx,
        HctxType, //
    },
    idle_request::{
        IdleRequest,
        Rejected, //
    },
    operations::{
        Operations,
        TimeoutAction, //
    },
    polled::PolledTransfers,
    queues::{
        QueueCounts,
        QueueMap, //
    },
    request::{
        Command,
        ExpiredRequest,
        Request, //
    },
    request_list::RequestList,
    segment::{
        Dest,
        Segment,
        Segments,
        Source, //
    },
    tag_set::{
        Flags,
        TagSet,
        TagSetConfig, //
    },
    thread::{
        RequestThread,
        ThreadOperations, //
    },
    timer::{
        NoTimer,
        RequestTimer,
        TimerOperations,
        TimerSlot, //
    },
    transfer::{
        FileSlot,
        FileTransfer,
        NoFile,
        TransferOperations, //
    },
    zones::{
        NoZones,
        ReportZones,
        Zone,
        ZoneCondition,
        ZoneLimits,
        ZoneReport, //
    },
};
