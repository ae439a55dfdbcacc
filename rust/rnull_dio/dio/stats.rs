// SPDX-License-Identifier: GPL-2.0

//! Counters of an engine, for debugfs.

use kernel::prelude::*;

use crate::{
    counters::Counters,
    named::named_enum, //
};

use super::route::Route;

named_enum! {
    /// Events that are counted beside the routes.
    pub(crate) enum Event {
        /// An issuer did not take a request that was handed over.
        Refused = "refused",
        /// A request was handed to its issuer by `kiocb->dio_complete`.
        Native = "native",
        /// The worker has flushed the device's cache, for one or more requests.
        WorkerFlush = "worker_flushes",
        /// The worker has completed a request after its flush.
        Flushed = "worker_flushed",
    }
}

/// Counters of an engine.
pub(crate) struct Stats {
    /// How many completions took each route.
    pub(crate) routes: Counters<Route>,
    /// How often each other event happened.
    pub(crate) events: Counters<Event>,
}

impl Stats {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            routes: Counters::new()?,
            events: Counters::new()?,
        })
    }

    /// Counts a request that takes the worker's route in place of its issuer's.
    pub(super) fn count_refused(&self) {
        self.events.inc(Event::Refused);
        self.routes.dec(Route::Issuer);
        self.routes.inc(Route::Worker);
    }
}
