// SPDX-License-Identifier: GPL-2.0

//! Routing: which context runs the rest of a completion.

use kernel::{
    fmt,
    prelude::*, //
};

use crate::named::{
    named_enum,
    Named, //
};

use super::{
    needs::Needs,
    policy::Policy, //
};

named_enum! {
    /// Where the last reference to a request is dropped.
    pub(crate) enum Arrival {
        /// In the submitter, because all bios had ended before the submission was over.
        Submitter = "Submitter",
        /// In an `end_io` that the issuer sleeps for.
        Sync = "Sync",
        /// In an `end_io` of a bio that the issuer polls for.
        Polled = "Polled",
        /// In any other `end_io`: in an interrupt, or another atomic context.
        Irq = "Irq",
    }
}

named_enum! {
    /// The kind of a request's issuer.
    pub(crate) enum Issuer {
        /// An issuer that takes nothing but the result.
        Plain = "plain",
        /// An issuer that can run completions in a task.
        Defers = "defers",
    }
}

named_enum! {
    /// The context that runs the rest of a completion.
    pub(crate) enum Route {
        /// The issuer, before its submission returns.
        Submitter = "submitter",
        /// The issuer, which slept for it.
        Waiter = "waiter",
        /// The task that polls next, once the driver has returned.
        Reaper = "reaper",
        /// The `end_io` itself.
        Inline = "inline",
        /// A task of the issuer, which went on after the submission.
        Issuer = "issuer",
        /// The work item of the inode.
        Worker = "worker",
    }
}

/// Returns the context that runs the rest of a completion.
#[inline]
pub(crate) const fn route(policy: Policy, needs: Needs, arrival: Arrival, issuer: Issuer) -> Route {
    match (arrival, needs) {
        // The submission may be one that must not sleep, and the worker can share the sync. What is
        // no sync that others could share is left to the submitter, see `rw::finish`.
        (Arrival::Submitter, Needs::Io) => Route::Worker,
        (Arrival::Submitter, _) => Route::Submitter,
        (Arrival::Sync, _) => Route::Waiter,
        // Never block a poller or an interrupt on I/O, because other completions are queued behind
        // it.
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

/// The columns of the tables: where a request arrives, and the kind of its issuer if that matters.
const COLUMNS: [(Arrival, Option<Issuer>); 5] = [
    (Arrival::Submitter, None),
    (Arrival::Sync, None),
    (Arrival::Polled, None),
    (Arrival::Irq, Some(Issuer::Defers)),
    (Arrival::Irq, Some(Issuer::Plain)),
];

/// The most characters of a cell.
const WIDTH: usize = 11;

/// Writes all of [`route`] as tables in reStructuredText, one for each policy.
pub(crate) fn show_table(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for &policy in Policy::ALL {
        writeln!(f, "``{}``:\n", policy.name())?;
        show_rule(f)?;
        write!(f, "{:<9}", "Needs")?;
        show_cells(f, show_title)?;
        show_rule(f)?;
        for &needs in Needs::ALL {
            write!(f, "{:<9}", needs.name())?;
            show_cells(f, |cell, arrival, issuer| {
                let issuer = issuer.unwrap_or(Issuer::Plain);
                cell.write_str(route(policy, needs, arrival, issuer).name())
            })?;
        }
        show_rule(f)?;
        writeln!(f)?;
    }
    Ok(())
}

fn show_title(cell: &mut Cell<'_, '_>, arrival: Arrival, issuer: Option<Issuer>) -> fmt::Result {
    cell.write_str(arrival.name())?;
    if let Some(issuer) = issuer {
        cell.write_str(", ")?;
        cell.write_str(issuer.name())?;
    }
    Ok(())
}

/// A cell that is being written, and the spaces that it still needs.
struct Cell<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Cell<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.left = self.left.saturating_sub(text.len());
        self.f.write_str(text)
    }
}

/// Writes the cells of a row behind the first, each by `show`.
fn show_cells(
    f: &mut fmt::Formatter<'_>,
    show: impl Fn(&mut Cell<'_, '_>, Arrival, Option<Issuer>) -> fmt::Result,
) -> fmt::Result {
    // The spaces at the end of a cell are written before the next one, so that lines end without.
    let mut spaces = 0;
    for (arrival, issuer) in COLUMNS {
        write!(f, "{:spaces$}  ", "")?;
        let mut cell = Cell { f, left: WIDTH };
        show(&mut cell, arrival, issuer)?;
        spaces = cell.left;
    }
    writeln!(f)
}

/// Writes the line above and below the titles and the rows of a table.
fn show_rule(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "=========")?;
    for _ in COLUMNS {
        write!(f, "  {:=<WIDTH$}", "")?;
    }
    writeln!(f)
}

#[kunit_tests(rnull_dio_route)]
mod tests {
    use super::*;

    /// Calls `f` for every cell of every policy's table.
    fn for_all(f: impl Fn(Policy, Needs, Arrival, Issuer)) {
        for &policy in Policy::ALL {
            for &needs in Needs::ALL {
                for &arrival in Arrival::ALL {
                    for &issuer in Issuer::ALL {
                        f(policy, needs, arrival, issuer);
                    }
                }
            }
        }
    }

    /// For each need, the routes of polled and of interrupted requests, of an issuer that is plain
    /// and of one that defers.
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
                Arrival::Submitter if needs == Needs::Io => Route::Worker,
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
}
