// SPDX-License-Identifier: GPL-2.0

//! What has been counted, for debugfs.

use kernel::{
    fmt,
    prelude::*, //
};

use kernel_ext::percpu::PerCpuCounters;

use super::route::Route;

/// Counters of an engine.
pub(crate) struct Stats {
    routes: PerCpuCounters<{ Route::ALL.len() }>,
}

impl Stats {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            routes: PerCpuCounters::new()?,
        })
    }

    pub(super) fn count_route(&self, route: Route) {
        self.routes.inc(route as usize);
    }

    /// How many completions took `route`.
    #[cfg(CONFIG_KUNIT)]
    pub(super) fn route(&self, route: Route) -> u64 {
        self.routes.sum(route as usize)
    }

    /// Writes a line for each route: its name, and how many completions took it.
    pub(crate) fn show_routes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in Route::ALL {
            writeln!(f, "{}: {}", route.name(), self.routes.sum(route as usize))?;
        }
        Ok(())
    }
}
