// SPDX-License-Identifier: GPL-2.0

//! Completions that wait for a task: the issuer's, the poller's, the worker's.

use kernel::time::{
    delay::fsleep,
    Delta, //
};

use super::{
    super::{
        route::{
            route,
            Arrival,
            Issuer,
            Needs, //
        },
        stats::Event, //
    },
    *, //
};

const DEFERRED_WRITE: Options = Options {
    defers: true,
    ..WRITE
};

const DURABLE_WRITE: Options = Options {
    dsync: true,
    ..WRITE
};

/// A disk with a cache that can only be flushed, which ends requests as `irqmode` says.
fn cached(irqmode: IrqMode) -> Config {
    Config {
        irqmode,
        completion_nsec: SLOWLY,
        write_cache: true,
        poll_queues: 1,
        ..base()
    }
}

/// A request that ends with these needs there, and that takes them to the end of its last bio.
fn config_and_options(needs: Needs, arrival: Arrival, issuer: Issuer) -> (Config, Options) {
    let irqmode = match arrival {
        Arrival::Submitter => IrqMode::None,
        _ => IrqMode::Timer,
    };
    let options = Options {
        sync: arrival == Arrival::Sync,
        hipri: arrival == Arrival::Polled,
        defers: issuer == Issuer::Defers,
        dsync: needs == Needs::Io,
        ..WRITE
    };
    (cached(irqmode), options)
}

/// Issues a request with these needs under these circumstances, sees it through, and returns the
/// route that it has taken.
fn take_route(
    policy: Policy,
    needs: Needs,
    arrival: Arrival,
    issuer: Issuer,
) -> Result<(Route, Result<usize>)> {
    let (config, options) = config_and_options(needs, arrival, issuer);
    let fixture = Fixture::<0>::with(config)?.under(policy);
    if needs == Needs::Task {
        // An error does.
        fixture.disk.storage().bad().set_bad(0..1)?;
    }
    let io = fixture.issue(0, pattern(EXTENT, 1)?, options)?;
    match (arrival, options.defers) {
        (Arrival::Polled, _) => {
            fixture.poll(&io);
        }
        (Arrival::Irq, true) => {
            // Not handed over: it is done, or will be.
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
        .into_iter()
        .filter(|route| fixture.file.engine.stats.route(*route) > 0)
        .collect_one()
        .ok_or(EINVAL)?;
    Ok((taken, ret))
}

/// The only item, if there is just one.
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

        for policy in Policy::ALL {
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
    fn nothing_is_held_for_an_issuer() -> Result {
        let fixture = Fixture::<0>::new(IrqMode::Timer)?.under(Policy::Defer);
        for bios in [1, 3] {
            let io = fixture.issue(0, pattern(bios * EXTENT, 2)?, DEFERRED_WRITE)?;
            assert!(io.was_queued());
            assert_eq!(io.dio_count(), 1);
            io.wait_for_hand_over();
            // Who waits for direct I/O now, in place of finishing it, does not wait for long.
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
    fn what_an_issuer_refuses_goes_to_the_worker() -> Result {
        let fixture = Fixture::<0>::new(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.issue(0, pattern(EXTENT, 3)?, DEFERRED_WRITE)?;
        io.refuse_deferred();
        assert_eq!(io.wait(), Ok(EXTENT));
        fixture.settle(&io);
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(fixture.file.engine.stats.event(Event::Refused), 1);
        Ok(())
    }

    #[test]
    fn a_clone_does_not_defer() -> Result {
        // All that a request has of one that defers, but for the completion function.
        let fixture = Fixture::<0>::new(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.run(0, pattern(EXTENT, 4)?, WRITE)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        assert!(!io.was_handed_over());
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        Ok(())
    }

    #[test]
    fn reads_are_deferred_for_errors() -> Result {
        let fixture = Fixture::<0>::new(IrqMode::Timer)?;
        let read = Options {
            defers: true,
            ..READ
        };
        let io = fixture.run(0, zeroes(EXTENT)?, read)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        fixture.disk.storage().bad().set_bad(0..1)?;
        let io = fixture.issue(0, zeroes(EXTENT)?, read)?;
        io.wait_for_hand_over();
        io.run_deferred();
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.routes(), [0, 0, 0, 1, 1, 0]);
        Ok(())
    }

    #[test]
    fn a_disk_goes_while_issuers_take_their_time() -> Result {
        let fixture = Fixture::<0>::new(IrqMode::Timer)?.under(Policy::Defer);
        let io = fixture.issue(0, pattern(EXTENT, 5)?, DEFERRED_WRITE)?;
        io.wait_for_hand_over();
        let Fixture { file, disk } = fixture;
        drop(disk);
        io.run_deferred();
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(io.completions(), 1);
        drop(file);
        Ok(())
    }

    #[test]
    fn a_part_that_wants_to_be_counted_is_left_to_the_worker() -> Result {
        // Submitters and waiters are counted while they finish a request.
        let fixture = Fixture::<1>::new(IrqMode::Timer)?;
        let io = fixture.run(0, pattern(EXTENT, 6)?, DEFERRED_WRITE)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(fixture.file.completed.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn nor_is_it_left_to_a_reaper() -> Result {
        let fixture = Fixture::<1>::polled()?;
        let io = fixture.issue(0, pattern(EXTENT, 7)?, POLLED_WRITE)?;
        fixture.poll(&io);
        fixture.settle(&io);
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(fixture.file.completed.load(Relaxed), 1);
        Ok(())
    }

    #[test]
    fn a_part_that_need_not_be_counted_is_not() -> Result {
        let fixture = Fixture::<2>::new(IrqMode::Timer)?;
        let io = fixture.issue(0, pattern(EXTENT, 8)?, DEFERRED_WRITE)?;
        io.wait_for_hand_over();
        assert_eq!(io.dio_count(), 0);
        assert_eq!(fixture.file.completed.load(Relaxed), 0);
        io.run_deferred();
        assert_eq!(fixture.file.completed.load(Relaxed), 1);
        assert_eq!(fixture.routes(), [0, 0, 0, 0, 1, 0]);
        Ok(())
    }

    #[test]
    fn no_flush_that_began_before_makes_a_write_durable() -> Result {
        // On a machine that does other things, the second write may come too late.
        for _ in 0..20 {
            let fixture = Fixture::<0>::with(cached(IrqMode::Timer))?;
            let flushes = || fixture.disk.counters().get(Counter::Flush);
            let first = fixture.issue(0, pattern(EXTENT, 9)?, DURABLE_WRITE)?;
            // CAST: It is less than a second.
            fsleep(Delta::from_nanos(SLOWLY as i64 / 2));
            let second = fixture.issue(MIB, pattern(EXTENT, 10)?, DURABLE_WRITE)?;
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
        const WRITES: u64 = 16;
        // Longer than it takes to submit many of them.
        let fixture = Fixture::<0>::with(Config {
            completion_nsec: 5 * SLOWLY,
            ..cached(IrqMode::Timer)
        })?;
        let mut ios = KVec::new();
        for i in 0..WRITES {
            let io = fixture.issue(i * MIB / 8, pattern(EXTENT, 11)?, DURABLE_WRITE)?;
            ios.push(io, GFP_KERNEL)?;
        }
        for io in ios {
            assert_eq!(io.wait(), Ok(EXTENT));
            fixture.settle(&io);
        }
        let stats = &fixture.file.engine.stats;
        assert_eq!(stats.event(Event::Flushed), WRITES);
        let flushes = stats.event(Event::WorkerFlush);
        assert_eq!(fixture.disk.counters().get(Counter::Flush), flushes);
        assert!((1..=WRITES / 2).contains(&flushes));
        Ok(())
    }

    #[test]
    fn the_worker_can_be_drained() -> Result {
        let fixture = Fixture::<0>::with(cached(IrqMode::Timer))?;
        let io = fixture.issue(0, pattern(EXTENT, 12)?, DURABLE_WRITE)?;
        while fixture.file.engine.stats.route(Route::Worker) == 0 {
            io.nap();
        }
        io.with_io(|io| fixture.file.worker.flush(io));
        assert_eq!(io.completions(), 1);
        Ok(())
    }
}
