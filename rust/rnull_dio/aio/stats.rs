// SPDX-License-Identifier: GPL-2.0

//! Counters of AIO, for debugfs.

use crate::{
    counters::Counters,
    named::named_enum, //
};

named_enum! {
    /// Events that are counted.
    pub(crate) enum Event {
        /// A context was made.
        Setup = "contexts",
        /// `io_setup(2)` was left to the kernel.
        Passed = "passed",
        /// A request was submitted.
        Submit = "requests",
        /// A task has waited in `io_getevents(2)`.
        Sleep = "sleeps",
        /// A task that waited has finished the completion of a request.
        Finish = "finished",
    }
}

/// Counters of AIO.
pub(crate) type Stats = Counters<Event>;
