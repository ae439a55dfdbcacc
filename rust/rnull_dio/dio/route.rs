// SPDX-License-Identifier: GPL-2.0

//! In whose context the rest of a completion runs.

use kernel::{
    fmt,
    prelude::*, //
};

use super::policy::Policy;

/// What is left to do when the last bio has ended. In order: more includes less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Needs {
    /// Nothing that sleeps.
    Nothing,
    /// Something that sleeps, but never starts or waits for I/O: errors, pages to mark dirty, pages
    /// to take out of the cache.
    Task,
    /// Something that starts I/O and waits for it: a cache flush.
    Io,
}

impl Needs {
    const ALL: [Self; 3] = [Self::Nothing, Self::Task, Self::Io];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "Nothing",
            Self::Task => "Task",
            Self::Io => "Io",
        }
    }
}

/// Where the last reference to a request is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
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

/// Who has issued a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Issuer {
    /// Somebody who takes nothing but the result.
    Plain,
    /// Somebody who finishes requests in a task, if asked to.
    Defers,
}

/// Who runs the rest of the completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Route {
    /// The issuer, before its submission returns.
    Submitter,
    /// The issuer, who slept for it.
    Waiter,
    /// Whoever polls next, once the driver has returned.
    Reaper,
    /// The `end_io` itself.
    Inline,
    /// The issuer, in a task of its own that it went on with after the submission.
    Issuer,
    /// The file's work item.
    Worker,
}

impl Route {
    /// All routes, in the order of their discriminants.
    pub(crate) const ALL: [Self; 6] = [
        Self::Submitter,
        Self::Waiter,
        Self::Reaper,
        Self::Inline,
        Self::Issuer,
        Self::Worker,
    ];

    /// What the counters call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Waiter => "waiter",
            Self::Reaper => "reaper",
            Self::Inline => "inline",
            Self::Issuer => "issuer",
            Self::Worker => "worker",
        }
    }
}

/// Decides who runs the rest of a completion.
#[inline]
pub(crate) const fn route(policy: Policy, needs: Needs, arrival: Arrival, issuer: Issuer) -> Route {
    match (arrival, needs) {
        // Its flush would keep the issuer from going on, and can be shared.
        (Arrival::Submitter, Needs::Io) if matches!(policy, Policy::Auto) => Route::Worker,
        (Arrival::Submitter, _) => Route::Submitter,
        (Arrival::Sync, _) => Route::Waiter,
        // Who waits for I/O keeps everything else waiting that it polls for or goes on with.
        (Arrival::Polled | Arrival::Irq, Needs::Io) => Route::Worker,
        (Arrival::Polled, Needs::Nothing) => Route::Reaper,
        (Arrival::Irq, Needs::Nothing) => Route::Inline,
        (Arrival::Polled | Arrival::Irq, Needs::Task) => match (policy, arrival, issuer) {
            (Policy::Workqueue | Policy::Inline, _, _) => Route::Worker,
            (_, Arrival::Polled, _) => Route::Reaper,
            (_, _, Issuer::Defers) => Route::Issuer,
            (_, _, Issuer::Plain) => Route::Worker,
        },
    }
}

/// The columns of the table: where a request arrives, and whose it is if that matters.
const COLUMNS: [(Arrival, Issuer, &str); 5] = [
    (Arrival::Submitter, Issuer::Plain, "Submitter"),
    (Arrival::Sync, Issuer::Plain, "Sync"),
    (Arrival::Polled, Issuer::Plain, "Polled"),
    (Arrival::Irq, Issuer::Defers, "Irq, defers"),
    (Arrival::Irq, Issuer::Plain, "Irq, plain"),
];

/// Writes the whole of [`route`] as tables in reStructuredText, one for each policy.
pub(crate) fn show_table(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for policy in Policy::ALL {
        writeln!(f, "``{}``:\n", policy.name())?;
        show_rule(f)?;
        write!(f, "{:<9}", "Needs")?;
        show_cells(f, COLUMNS.map(|(_, _, title)| title))?;
        show_rule(f)?;
        for needs in Needs::ALL {
            write!(f, "{:<9}", needs.name())?;
            show_cells(
                f,
                COLUMNS.map(|(arrival, issuer, _)| route(policy, needs, arrival, issuer).name()),
            )?;
        }
        show_rule(f)?;
        writeln!(f)?;
    }
    Ok(())
}

/// The cells of a row behind the first.
fn show_cells(f: &mut fmt::Formatter<'_>, cells: [&str; COLUMNS.len()]) -> fmt::Result {
    let [others @ .., last] = cells;
    for cell in others {
        write!(f, "  {cell:<11}")?;
    }
    writeln!(f, "  {last}")
}

/// The line above and below the titles and the rows of a table.
fn show_rule(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "=========")?;
    for _ in COLUMNS {
        write!(f, "  ===========")?;
    }
    writeln!(f)
}

#[kunit_tests(rnull_dio_route)]
mod tests {
    use super::*;

    const ARRIVALS: [Arrival; 4] = [
        Arrival::Submitter,
        Arrival::Sync,
        Arrival::Polled,
        Arrival::Irq,
    ];
    const ISSUERS: [Issuer; 2] = [Issuer::Plain, Issuer::Defers];

    /// Calls `f` for every cell of every policy's table.
    fn for_all(f: impl Fn(Policy, Needs, Arrival, Issuer)) {
        for policy in Policy::ALL {
            for needs in Needs::ALL {
                for arrival in ARRIVALS {
                    for issuer in ISSUERS {
                        f(policy, needs, arrival, issuer);
                    }
                }
            }
        }
    }

    /// What every policy does with requests whose issuer is still there, polled and interrupted
    /// ones: of a plain issuer, and of one that defers.
    type Rows = [[[Route; 2]; 2]; 3];

    fn rows(policy: Policy) -> Rows {
        use Route::*;

        let nothing = [[Reaper, Reaper], [Inline, Inline]];
        let io = [[Worker, Worker], [Worker, Worker]];
        let task = match policy {
            Policy::Auto | Policy::Defer => [[Reaper, Reaper], [Worker, Issuer]],
            Policy::Workqueue | Policy::Inline => io,
        };
        [nothing, task, io]
    }

    #[test]
    fn every_cell_of_every_table() {
        for_all(|policy, needs, arrival, issuer| {
            let row = rows(policy)[needs as usize];
            let expected = match arrival {
                Arrival::Submitter if (policy, needs) == (Policy::Auto, Needs::Io) => Route::Worker,
                Arrival::Submitter => Route::Submitter,
                Arrival::Sync => Route::Waiter,
                Arrival::Polled => row[0][issuer as usize],
                Arrival::Irq => row[1][issuer as usize],
            };
            assert_eq!(route(policy, needs, arrival, issuer), expected);
        });
    }

    #[test]
    fn no_interrupt_runs_what_sleeps() {
        for_all(|policy, needs, arrival, issuer| {
            if route(policy, needs, arrival, issuer) == Route::Inline {
                assert_eq!((needs, arrival), (Needs::Nothing, Arrival::Irq));
            }
        });
    }

    #[test]
    fn only_issuers_that_defer_are_handed_anything() {
        for_all(|policy, needs, arrival, issuer| {
            if route(policy, needs, arrival, issuer) == Route::Issuer {
                assert_eq!((needs, issuer), (Needs::Task, Issuer::Defers));
            }
        });
    }

    #[test]
    fn counters_are_in_order() {
        for (index, route) in Route::ALL.into_iter().enumerate() {
            assert_eq!(route as usize, index);
        }
    }
}
