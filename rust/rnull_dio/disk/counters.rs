// SPDX-License-Identifier: GPL-2.0

//! The events that a disk counts.

use kernel_ext::block::mq::Command;

use crate::named::named_enum;

named_enum! {
    /// An event that a disk counts.
    pub(crate) enum Counter {
        /// Reads.
        Read = "read",
        /// Writes.
        Write = "write",
        /// Flushes of the volatile write cache.
        Flush = "flush",
        /// Discards.
        Discard = "discard",
        /// Writes of zeroes without data.
        WriteZeroes = "write_zeroes",
        /// Zone appends.
        ZoneAppend = "zone_append",
        /// Operations that open, close, fill or empty zones.
        ZoneManagement = "zone_management",
        /// All other operations, which fail.
        Other = "other",
        /// Writes with FUA, which are among the writes.
        Fua = "fua",
        /// Transfers of a part of a request, by the file of a disk that has one.
        Resumed = "resumed",
        /// Injected faults by which a request was requeued.
        Requeue = "requeue",
        /// Requests that a poller ended.
        Polled = "polled",
        /// Polled requests that a thread had to pass to the file of a disk that has one.
        NotPolled = "not_polled",
        /// Requests that failed because they were not polled in time, or by an injected fault.
        Timeout = "timeout",
        /// Requests that failed for any other reason.
        Error = "error",
    }
}

impl From<Command> for Counter {
    #[inline]
    fn from(command: Command) -> Self {
        match command {
            Command::Read => Self::Read,
            Command::Write => Self::Write,
            Command::Flush => Self::Flush,
            Command::Discard => Self::Discard,
            Command::WriteZeroes => Self::WriteZeroes,
            Command::ZoneAppend => Self::ZoneAppend,
            Command::ZoneOpen
            | Command::ZoneClose
            | Command::ZoneFinish
            | Command::ZoneReset
            | Command::ZoneResetAll => Self::ZoneManagement,
            Command::SecureErase | Command::Other(_) => Self::Other,
        }
    }
}

/// The counters of a disk, since it was made.
pub(crate) type Counters = crate::counters::Counters<Counter>;
