// SPDX-License-Identifier: GPL-2.0

//! Completions that run in a task: the issuer's, the reaper's, the worker's.

use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    },
};

use kernel_ext::dio::test_io::{
    CallOptions,
    TestIoOptions, //
};

use crate::{
    disk::{
        Config,
        Counter,
        IrqMode, //
    },
    named::Named, //
};

use super::{
    super::{
        needs::Needs,
        route::{
            route,
            Arrival,
            Issuer,
            Route, //
        },
        stats::Event, //
    },
    bytes,
    pattern,
    plain::{
        without_end_io,
        Plain,
        EXTENT,
        MIB,
        POLLED_WRITE, //
    },
    Counted,
    Direction,
    Fixture,
    Policy,
    ASYNC_READ,
    ASYNC_WRITE, //
};

const DEFERRED_WRITE: TestIoOptions = TestIoOptions {
    defers: true,
    ..ASYNC_WRITE
};

const DURABLE_WRITE: TestIoOptions = TestIoOptions {
    dsync: true,
    ..ASYNC_WRITE
};

/// A disk with a cache that can only be flushed, which ends requests as `irqmode` says.
fn cached(irqmode: IrqMode) -> Config {
    Config {
        irqmode,
        completion_nsec: Config::SLOWLY,
        write_cache: true,
        poll_queues: 1,
        ..Config::for_tests()
    }
}

/// A request that ends with these needs there, and that takes them to the end of its last bio.
fn config_and_options(needs: Needs, arrival: Arrival, issuer: Issuer) -> (Config, TestIoOptions) {
    let irqmode = match arrival {
        Arrival::Submitter => IrqMode::None,
        _ => IrqMode::Timer,
    };
    let options = TestIoOptions {
        sync: arrival == Arrival::Sync,
        hipri: arrival == Arrival::Polled,
        defers: issuer == Issuer::Defers,
        dsync: needs == Needs::Io,
        ..ASYNC_WRITE
    };
    (cached(irqmode), options)
}

/// Issues a request with these needs, arrival and issuer, waits until it is complete, and returns
/// the route that it has taken and its result.
fn take_route(
    policy: Policy,
    needs: Needs,
    arrival: Arrival,
    issuer: Issuer,
) -> Result<(Route, Result<usize>)> {
    let (config, options) = config_and_options(needs, arrival, issuer);
    let fixture = Plain::on(config)?.under(policy);
    if needs == Needs::Task {
        // A completion with an error needs a task.
        fixture.disk.storage().bad().set_bad(0..1)?;
    }
    let io = fixture.start(0, pattern(EXTENT, 1)?, options)?;
    match (arrival, options.defers) {
        (Arrival::Polled, _) => {
            fixture.poll(&io);
        }
        (Arrival::Irq, true) => {
            // Until the request is handed over, or complete by another route.
            while io.completions() == 0 && !io.was_handed_over() {
                io.nap();
            }
            if io.was_handed_over() {
                assert_eq!((io.completions(), io.dio_count()), (0, 0));
                io.run_deferred();
            }
        }
        _ => (),
    }
    let ret = io.wait();
    fixture.settle(&io);
    let taken = Route::ALL
        .iter()
        .copied()
        .filter(|&route| fixture.engine.stats.routes.get(route) > 0)
        .collect_one()
        .ok_or(EINVAL)?;
    Ok((taken, ret))
}

/// Iterators that have exactly one item.
trait CollectOne: Iterator + Sized {
    fn collect_one(mut self) -> Option<Self::Item> {
        let item = self.next()?;
        self.next().is_none().then_some(item)
    }
}

impl<I: Iterator> CollectOne for I {}

#[kunit_tests(rnull_dio_defer)]
mod cases {
    use super::*;

    #[test]
    fn every_cell_of_every_table() -> Result {
        use Needs::*;

        for &policy in Policy::ALL {
            for needs in [Nothing, Task, Io] {
                for (arrival, issuer) in [
                    (Arrival::Submitter, Issuer::Plain),
                    (Arrival::Sync, Issuer::Plain),
                    (Arrival::Polled, Issuer::Plain),
                    (Arrival::Irq, Issuer::Plain),
                    (Arrival::Irq, Issuer::Defers),
                ] {
                    let raised = policy.raise(Direction::Write, needs);
                    let arrives = if arrival == Arrival::Polled && !policy.polls(raised) {
                        Arrival::Irq
                    } else {
                        arrival
                    };
                    let expected = route(policy, raised, arrives, issuer);
                    let (taken, ret) = take_route(policy, needs, arrival, issuer)?;
                    if taken != expected {
                        pr_err!("{:?} {:?} {:?} {:?}\n", policy, needs, arrival, issuer);
                    }
                    assert_eq!(taken, expected);
                    let bytes = if needs == Task { Err(EIO) } else { Ok(EXTENT) };
                    assert_eq!(ret, bytes);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn counts_are_dropped_before_a_hand_over() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        for bios in [1, 3] {
            let io = fixture.start(0, pattern(bios * EXTENT, 2)?, DEFERRED_WRITE)?;
            assert!(io.was_queued());
            assert_eq!(io.dio_count(), 1);
            io.wait_for_hand_over();
            // The issuer may sleep in `inode_dio_wait()` before it runs the completion.
            assert_eq!(io.dio_count(), 0);
            assert_eq!(io.completions(), 0);
            io.run_deferred();
            fixture.settle(&io);
            assert_eq!(io.wait(), Ok(bios * EXTENT));
            assert_eq!(io.advanced_to(), (bios * EXTENT) as u64);
        }
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 2, 0]);
        Ok(())
    }

    #[test]
    fn refused_requests_go_to_the_worker() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.start(0, pattern(EXTENT, 3)?, DEFERRED_WRITE)?;
        io.refuse_deferred();
        assert_eq!(io.wait(), Ok(EXTENT));
        fixture.settle(&io);
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(fixture.engine.stats.events.get(Event::Refused), 1);
        Ok(())
    }

    #[test]
    fn copies_of_kiocbs_do_not_defer() -> Result {
        // The kiocb is that of an issuer that defers, except for the completion function.
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.complete(0, pattern(EXTENT, 4)?, ASYNC_WRITE)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        assert!(!io.was_handed_over());
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        Ok(())
    }

    #[test]
    fn reads_are_deferred_for_errors() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        let read = TestIoOptions {
            defers: true,
            ..ASYNC_READ
        };
        let io = fixture.complete(0, bytes(0, EXTENT)?, read)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        fixture.disk.storage().bad().set_bad(0..1)?;
        let io = fixture.start(0, bytes(0, EXTENT)?, read)?;
        io.wait_for_hand_over();
        io.run_deferred();
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.routes(), [0, 0, 0, 1, 1, 0]);
        Ok(())
    }

    #[test]
    fn no_task_has_to_free_requests_of_the_reserve() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        fixture.engine.bios.set_exhausted(true);
        let io = fixture.start(0, pattern(EXTENT, 13)?, DEFERRED_WRITE)?;
        fixture.finish(&io);
        assert_eq!(io.wait(), Ok(EXTENT));
        assert!(!io.was_handed_over());
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);

        // The disk completes what is not polled for, so the issuer finds nothing to reap.
        let fixture = Plain::polled()?;
        fixture.engine.bios.set_exhausted(true);
        let io = fixture.start(0, pattern(EXTENT, 14)?, POLLED_WRITE)?;
        assert_eq!(fixture.poll(&io), 0);
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(fixture.disk.counters().get(Counter::Polled), 0);
        Ok(())
    }

    #[test]
    fn the_reserve_is_not_for_nowait() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        fixture.engine.bios.set_exhausted(true);
        let nowait = TestIoOptions {
            nowait: true,
            ..ASYNC_WRITE
        };
        let io = fixture.complete(0, pattern(EXTENT, 15)?, nowait)?;
        assert_eq!(io.wait(), Err(EAGAIN));
        Ok(())
    }

    #[test]
    fn a_disk_is_removed_before_a_completion_is_run() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.start(0, pattern(EXTENT, 5)?, DEFERRED_WRITE)?;
        io.wait_for_hand_over();
        let Plain { engine, file, disk } = fixture;
        drop(disk);
        io.run_deferred();
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(io.completions(), 1);
        drop((engine, file));
        Ok(())
    }

    #[test]
    fn the_worker_completes_what_is_counted() -> Result {
        // Only interrupts, submitters, waiters and workers complete requests that are counted.
        let fixture = Fixture::<Counted>::ending(IrqMode::Timer)?.under(Policy::Defer);
        let call = CallOptions::default();
        let io = fixture.call(0, pattern(EXTENT, 6)?, DEFERRED_WRITE, call)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(fixture.ends()?.len(), 1);
        Ok(())
    }

    #[test]
    fn reapers_do_not_complete_what_is_counted() -> Result {
        let fixture = Fixture::<Counted>::polled()?;
        let call = CallOptions::default();
        let io = fixture.issue(0, pattern(EXTENT, 7)?, POLLED_WRITE, call)?;
        fixture.poll(&io);
        fixture.settle(&io);
        assert_eq!(fixture.routes(), [0, 0, 0, 1, 0, 0]);
        assert_eq!(fixture.ends()?.len(), 1);
        Ok(())
    }

    #[test]
    fn issuers_end_what_is_not_counted() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?.under(Policy::Defer);
        let call = CallOptions::default();
        let io = fixture.issue(0, pattern(EXTENT, 8)?, DEFERRED_WRITE, call)?;
        io.wait_for_hand_over();
        assert_eq!(io.dio_count(), 0);
        assert_eq!(fixture.ends()?.len(), 0);
        io.run_deferred();
        assert_eq!(fixture.ends()?.len(), 1);
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 1, 0]);
        Ok(())
    }

    #[test]
    fn a_write_is_not_durable_by_a_flush_that_began_before() -> Result {
        // Repeated, because on a busy machine the second write may be submitted too late.
        for _ in 0..20 {
            let fixture = Plain::on(cached(IrqMode::Timer))?;
            let flushes = || fixture.disk.counters().get(Counter::Flush);
            let first = fixture.start(0, pattern(EXTENT, 9)?, DURABLE_WRITE)?;
            // CAST: It is less than a second.
            fsleep(Delta::from_nanos(Config::SLOWLY as i64 / 2));
            let second = fixture.start(MIB, pattern(EXTENT, 10)?, DURABLE_WRITE)?;
            let in_time = flushes() == 0;
            // It ends when the flush for the first one, which takes as long, is half done.
            assert_eq!(second.wait(), Ok(EXTENT));
            assert_eq!(flushes(), 2);
            assert_eq!(first.wait(), Ok(EXTENT));
            if in_time {
                return Ok(());
            }
        }
        Err(ETIMEDOUT)
    }

    #[test]
    fn writes_that_wait_for_a_flush_share_the_next() -> Result {
        check_sharing(false)
    }

    #[test]
    fn writes_of_a_file_share_a_flush_with_others_between_them() -> Result {
        check_sharing(true)
    }

    /// Checks that writes which wait for a flush share the next one. Every other one is to another
    /// file if `mixed`.
    fn check_sharing(mixed: bool) -> Result {
        const WRITES: u64 = 16;
        // Longer than it takes to submit many of them.
        let fixture = Plain::on(Config {
            completion_nsec: 5 * Config::SLOWLY,
            ..cached(IrqMode::Timer)
        })?;
        let other = fixture.other_file()?;
        let mut ios = KVec::new();
        for i in 0..WRITES {
            let file = if mixed && i % 2 != 0 {
                &other
            } else {
                &fixture.file
            };
            let io = fixture.issue_on(
                file,
                i * MIB / 8,
                pattern(EXTENT, 11)?,
                DURABLE_WRITE,
                without_end_io(),
            )?;
            ios.push(io, GFP_KERNEL)?;
        }
        for io in &ios {
            assert_eq!(io.wait(), Ok(EXTENT));
        }
        for io in &ios {
            fixture.settle(io);
        }
        let stats = &fixture.engine.stats;
        assert_eq!(stats.events.get(Event::Flushed), WRITES);
        let flushes = stats.events.get(Event::WorkerFlush);
        assert_eq!(fixture.disk.counters().get(Counter::Flush), flushes);
        assert!((1..=WRITES / 2).contains(&flushes));
        Ok(())
    }
}
