// SPDX-License-Identifier: GPL-2.0

//! What a disk counts.

use kernel::{
    fmt,
    prelude::*, //
};
use kernel_ext::{
    block::mq::Command,
    percpu::PerCpuCounters, //
};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Counter {
            $($(#[$doc])* $name,)*
        }

        impl Counter {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];
        }
    };
}

counters! {
    /// Reads.
    Read: "read",
    /// Writes.
    Write: "write",
    /// Flushes of the volatile write cache.
    Flush: "flush",
    /// Discards.
    Discard: "discard",
    /// Writes of zeroes without data.
    WriteZeroes: "write_zeroes",
    /// All other operations, which fail.
    Other: "other",
    /// Those of the writes that went through the volatile write cache.
    Fua: "fua",
    /// Requests that ended in a poll.
    Polled: "polled",
    /// Requests that nobody polled for so long that they failed.
    Timeout: "timeout",
    /// Requests that failed for any other reason.
    Error: "error",
}

const NR: usize = Counter::ALL.len();

impl From<Command> for Counter {
    fn from(op: Command) -> Self {
        match op {
            Command::Read => Self::Read,
            Command::Write => Self::Write,
            Command::Flush => Self::Flush,
            Command::Discard => Self::Discard,
            Command::WriteZeroes => Self::WriteZeroes,
            Command::SecureErase | Command::Other(_) => Self::Other,
        }
    }
}

/// The counters of a disk, since it was made.
///
/// Per CPU, so that queues do not share a cache line because of them.
pub(crate) struct Counters(PerCpuCounters<NR>);

impl Counters {
    pub(super) fn new() -> Result<Self> {
        Ok(Self(PerCpuCounters::new()?))
    }

    #[inline]
    pub(super) fn inc(&self, counter: Counter) {
        self.0.inc(counter as usize);
    }

    /// Returns a counter. Not a snapshot: I/O goes on meanwhile.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0.sum(counter as usize)
    }

    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &(counter, name) in Counter::ALL {
            writeln!(f, "{name}: {}", self.get(counter))?;
        }
        Ok(())
    }
}

#[kunit_tests(rnull_dio_disk_counters)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_up() -> Result {
        let counters = Counters::new()?;
        for &(counter, _) in Counter::ALL {
            assert_eq!(counters.get(counter), 0);
        }
        counters.inc(Counter::Read);
        counters.inc(Counter::Error);
        counters.inc(Counter::Error);
        assert_eq!(counters.get(Counter::Read), 1);
        assert_eq!(counters.get(Counter::Write), 0);
        assert_eq!(counters.get(Counter::Error), 2);
        Ok(())
    }
}
