// SPDX-License-Identifier: GPL-2.0

//! Counters of an engine, for debugfs.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::debugfs::File;

use crate::{
    counters::Counters,
    debugfs::Dir,
    named::named_enum, //
};

use super::{
    passed::Reason,
    route::Route, //
};

named_enum! {
    /// Events that are counted beside the routes.
    pub(crate) enum Event {
        /// An issuer did not take a request that was handed over.
        Refused = "refused",
        /// A request was handed to its issuer by `kiocb->dio_complete`.
        Native = "native",
        /// A worker has synced a file, for one or more requests.
        WorkerFlush = "worker_flushes",
        /// A worker has completed a request after a sync.
        Flushed = "worker_flushed",
    }
}

/// Counters of an engine.
pub(crate) struct Stats {
    /// How many completions took each route.
    pub(crate) routes: Counters<Route>,
    /// How often each other event happened.
    pub(crate) events: Counters<Event>,
    /// How many requests were passed on, by their reasons.
    pub(crate) passed: Counters<Reason>,
}

impl Stats {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            routes: Counters::new()?,
            events: Counters::new()?,
            passed: Counters::new()?,
        })
    }

    /// Counts a request that takes the worker's route in place of its issuer's.
    pub(super) fn count_refused(&self) {
        self.events.inc(Event::Refused);
        self.routes.dec(Route::Issuer);
        self.routes.inc(Route::Worker);
    }
}

/// The files of an engine in debugfs.
#[pin_data]
pub(crate) struct StatsFiles {
    #[pin]
    routes: File<Arc<Stats>>,
    #[pin]
    events: File<Arc<Stats>>,
    #[pin]
    passed: File<Arc<Stats>>,
}

impl StatsFiles {
    /// Creates the files in `directory`, which they keep.
    pub(crate) fn new<'a>(
        directory: &'a Dir,
        stats: &'a Arc<Stats>,
    ) -> impl PinInit<Self, Error> + 'a {
        try_pin_init!(Self {
            routes <- directory
                .read_callback_file(c"routes", stats.clone(), |stats, f| stats.routes.show(f)),
            events <- directory
                .read_callback_file(c"events", stats.clone(), |stats, f| stats.events.show(f)),
            passed <- directory
                .read_callback_file(c"passed", stats.clone(), |stats, f| stats.passed.show(f)),
        })
    }
}
