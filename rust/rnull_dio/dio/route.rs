// SPDX-License-Identifier: GPL-2.0

//! In whose context the rest of a completion runs.

use kernel::prelude::*;

/// What is left to do when the last bio has ended. In order: more includes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Needs {
    /// Nothing that sleeps.
    Nothing,
    /// Something that sleeps, but never starts or waits for I/O: errors, pages to mark dirty.
    Task,
    /// Something that starts I/O and waits for it: a cache flush.
    Io,
}

/// Where the last reference to a request is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In the submitter, since all bios had ended before it was done.
    Submitter,
    /// In an `end_io` for which the issuer sleeps.
    Sync,
    /// In an `end_io` of a bio that the issuer polls for.
    Polled,
    /// In any other `end_io`: in an interrupt, or in something else that is atomic.
    Irq,
}

/// Who runs the rest of the completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The issuer, before its submission returns.
    Submitter,
    /// The issuer, who slept for it.
    Waiter,
    /// Whoever polls next, once the driver has returned.
    Reaper,
    /// The `end_io` itself.
    Inline,
    /// The file's work item.
    Worker,
}

impl Route {
    /// All routes, in the order of their discriminants.
    pub(crate) const ALL: [Self; 5] = [
        Self::Submitter,
        Self::Waiter,
        Self::Reaper,
        Self::Inline,
        Self::Worker,
    ];

    /// What the counters call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Waiter => "waiter",
            Self::Reaper => "reaper",
            Self::Inline => "inline",
            Self::Worker => "worker",
        }
    }
}

/// Decides who runs the rest of a completion.
pub(crate) const fn route(needs: Needs, arrival: Arrival) -> Route {
    match (arrival, needs) {
        (Arrival::Submitter, _) => Route::Submitter,
        (Arrival::Sync, _) => Route::Waiter,
        // A reaper that waits for I/O keeps everything else that it polls for waiting.
        (Arrival::Polled, Needs::Io) => Route::Worker,
        (Arrival::Polled, _) => Route::Reaper,
        (Arrival::Irq, Needs::Nothing) => Route::Inline,
        (Arrival::Irq, _) => Route::Worker,
    }
}

#[kunit_tests(rnull_dio_route)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table() {
        use Needs::*;

        let arrivals = [
            Arrival::Submitter,
            Arrival::Sync,
            Arrival::Polled,
            Arrival::Irq,
        ];
        for (needs, row) in [
            (
                Nothing,
                [
                    Route::Submitter,
                    Route::Waiter,
                    Route::Reaper,
                    Route::Inline,
                ],
            ),
            (
                Task,
                [
                    Route::Submitter,
                    Route::Waiter,
                    Route::Reaper,
                    Route::Worker,
                ],
            ),
            (
                Io,
                [
                    Route::Submitter,
                    Route::Waiter,
                    Route::Worker,
                    Route::Worker,
                ],
            ),
        ] {
            for (arrival, expected) in arrivals.into_iter().zip(row) {
                assert_eq!(route(needs, arrival), expected);
            }
        }
    }

    #[test]
    fn no_interrupt_runs_what_sleeps() {
        for needs in [Needs::Task, Needs::Io] {
            assert_ne!(route(needs, Arrival::Irq), Route::Inline);
        }
    }

    #[test]
    fn counters_are_in_order() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
        }
    }
}
