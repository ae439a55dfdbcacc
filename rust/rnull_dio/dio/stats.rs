// SPDX-License-Identifier: GPL-2.0

//! What has been counted, for debugfs.

use kernel::{
    fmt,
    prelude::*, //
};

use kernel_ext::percpu::PerCpuCounters;

use super::route::Route;

/// Events that are counted beside the routes.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// A request was meant for its issuer, who could not take it.
    Refused,
    /// A request was handed to its issuer by `kiocb->dio_complete`.
    Native,
    /// The worker has flushed the device's cache, for one or more requests.
    WorkerFlush,
    /// The worker has finished a request that a flush was due for.
    Flushed,
}

impl Event {
    const ALL: [Self; 4] = [
        Self::Refused,
        Self::Native,
        Self::WorkerFlush,
        Self::Flushed,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Native => "native",
            Self::WorkerFlush => "worker_flushes",
            Self::Flushed => "worker_flushed",
        }
    }
}

/// Counters of an engine.
pub(crate) struct Stats {
    routes: PerCpuCounters,
    events: PerCpuCounters,
}

impl Stats {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            routes: PerCpuCounters::new(Route::ALL.len())?,
            events: PerCpuCounters::new(Event::ALL.len())?,
        })
    }

    pub(super) fn count_route(&self, route: Route) {
        self.routes.inc(route as usize);
    }

    pub(super) fn count(&self, event: Event) {
        self.events.inc(event as usize);
    }

    /// A request takes the worker's route in place of its issuer's, for which it was counted.
    pub(super) fn count_refused(&self) {
        self.count(Event::Refused);
        self.routes.dec(Route::Issuer as usize);
        self.routes.inc(Route::Worker as usize);
    }

    /// How many completions took `route`.
    #[cfg(CONFIG_KUNIT)]
    pub(super) fn route(&self, route: Route) -> u64 {
        self.routes.sum(route as usize)
    }

    /// How many of the events there were.
    #[cfg(CONFIG_KUNIT)]
    pub(super) fn event(&self, event: Event) -> u64 {
        self.events.sum(event as usize)
    }

    /// Writes a line for each route: its name, and how many completions took it.
    pub(crate) fn show_routes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in Route::ALL {
            writeln!(f, "{}: {}", route.name(), self.routes.sum(route as usize))?;
        }
        Ok(())
    }

    /// Writes a line for each other event: its name, and how many there were.
    pub(crate) fn show_events(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in Event::ALL {
            writeln!(f, "{}: {}", event.name(), self.events.sum(event as usize))?;
        }
        Ok(())
    }
}
