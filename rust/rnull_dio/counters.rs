// SPDX-License-Identifier: GPL-2.0

//! Event counters that are named by an enum.

use core::marker::PhantomData;

use kernel::{
    fmt,
    prelude::*, //
};

use kernel_ext::percpu::PerCpuCounters;

use crate::named::Named;

/// A counter for each variant of `E`, on each CPU, so that CPUs do not share cache lines.
pub(crate) struct Counters<E: Named>(PerCpuCounters, PhantomData<fn(E)>);

impl<E: Named> Counters<E> {
    /// Allocates counters that are zero. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(crate) fn new() -> Result<Self> {
        const { assert!(E::ALL.len() <= PerCpuCounters::CAPACITY) };
        Ok(Self(PerCpuCounters::new()?, PhantomData))
    }

    /// Counts an event. May be called in any context.
    #[inline]
    pub(crate) fn inc(&self, event: E) {
        self.0.inc(event.index());
    }

    /// Takes back that an event was counted. May be called in any context.
    #[inline]
    pub(crate) fn dec(&self, event: E) {
        self.0.dec(event.index());
    }

    /// Returns how many events were counted. Not exact while others are being counted.
    pub(crate) fn get(&self, event: E) -> u64 {
        self.0.sum(event.index())
    }

    /// Writes a line for each counter: its name and its value.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &event in E::ALL {
            writeln!(f, "{}: {}", event.name(), self.get(event))?;
        }
        Ok(())
    }
}

#[kunit_tests(rnull_dio_counters)]
mod tests {
    use super::*;
    use crate::named::named_enum;

    named_enum! {
        enum Event {
            Begin = "begin",
            End = "end",
        }
    }

    struct Shown<'a>(&'a Counters<Event>);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.show(f)
        }
    }

    #[test]
    fn counters_add_up() -> Result {
        let counters = Counters::<Event>::new()?;
        for &event in Event::ALL {
            assert_eq!(counters.get(event), 0);
        }
        counters.inc(Event::End);
        counters.inc(Event::Begin);
        counters.inc(Event::End);
        assert_eq!(counters.get(Event::Begin), 1);
        assert_eq!(counters.get(Event::End), 2);
        Ok(())
    }

    #[test]
    fn a_line_shows_a_counter() -> Result {
        let counters = Counters::<Event>::new()?;
        counters.inc(Event::End);
        let mut buf = [0; 32];
        let mut f = kernel::str::Formatter::new(&mut buf);
        fmt::Write::write_fmt(&mut f, fmt!("{}", Shown(&counters)))?;
        let len = f.bytes_written();
        assert_eq!(&buf[..len], b"begin: 0\nend: 1\n");
        Ok(())
    }
}
