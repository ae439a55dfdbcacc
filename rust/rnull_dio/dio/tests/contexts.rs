// SPDX-License-Identifier: GPL-2.0

//! Requests of files that exclude direct I/O by a gate: which context completes them, with which
//! result, and how often.

use kernel::prelude::*;

use kernel_ext::{
    block::plug::with_plug,
    compat::error::code::EOPNOTSUPP,
    dio::test_io::{
        TestIo,
        TestIoOptions, //
    },
    fs::Issued, //
};

use crate::disk::{
    Config,
    Counter,
    IrqMode, //
};

use super::{
    super::{
        passed::Reason,
        route::Route, //
    },
    bytes,
    maps::plain as plain_mapping,
    pattern,
    plain::{
        sector_of,
        without_end_io,
        Plain,
        EXTENT,
        MIB,
        POLLED_WRITE, //
    },
    ASYNC_READ,
    ASYNC_WRITE,
    SIZE, //
};

const POLLED_READ: TestIoOptions = TestIoOptions {
    hipri: true,
    ..ASYNC_READ
};

#[kunit_tests(rnull_dio_contexts)]
mod cases {
    use super::*;

    #[test]
    fn data_comes_back_from_one_and_many_bios() -> Result {
        let fixture = Plain::ending(IrqMode::SoftIrq)?;
        for (bios, seed) in [(1, 1), (2, 2), (257, 3)] {
            for sync in [false, true] {
                let len = bios * EXTENT;
                let seed = seed + 10 * u32::from(sync);
                let written = fixture.disk.counters().get(Counter::Write);
                let io = fixture.complete(
                    MIB,
                    pattern(len, seed)?,
                    TestIoOptions {
                        sync,
                        ..ASYNC_WRITE
                    },
                )?;
                assert_eq!(io.wait(), Ok(len));
                assert_eq!(io.advanced_to(), MIB + len as u64);
                let written = fixture.disk.counters().get(Counter::Write) - written;
                assert_eq!(written, bios as u64);

                let io =
                    fixture.complete(MIB, bytes(0, len)?, TestIoOptions { sync, ..ASYNC_READ })?;
                assert_eq!(io.wait(), Ok(len));
                assert!(io.buf() == &pattern(len, seed)?[..]);
            }
        }
        Ok(())
    }

    #[test]
    fn bvecs_are_used_as_they_are() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        let bvec = |options| TestIoOptions {
            bvec: true,
            ..options
        };
        let io = fixture.complete(0, pattern(5 * EXTENT, 4)?, bvec(ASYNC_WRITE))?;
        assert_eq!(io.wait(), Ok(5 * EXTENT));
        // Across the extents' and the pages' boundaries.
        let offset = 512;
        let io = fixture.complete(
            1024,
            bytes(0, 2 * EXTENT + offset)?,
            TestIoOptions {
                offset,
                ..bvec(ASYNC_READ)
            },
        )?;
        assert_eq!(io.wait(), Ok(2 * EXTENT));
        assert!(io.buf() == &pattern(5 * EXTENT, 4)?[1024..][..2 * EXTENT]);
        Ok(())
    }

    #[test]
    fn the_memory_of_another_request_is_refused() -> Result {
        // It may be gone when this request is done.
        let fixture = Plain::ending(IrqMode::Timer)?;
        for bvec in [false, true] {
            let options = TestIoOptions {
                bvec,
                ..ASYNC_WRITE
            };
            let new = |seed| {
                let buf = pattern(EXTENT, seed)?;
                TestIo::new(&fixture.file, fixture.engine.clone(), 0, buf, options)
            };
            let (owner, other) = (new(16)?, new(17)?);
            owner.as_ref().issue(|kiocb, iter, _| {
                other
                    .as_ref()
                    .issue(|kiocb, _, io| fixture.file.rw(kiocb, iter, &without_end_io(), io));
                Issued::Done(kiocb, Ok(0))
            });
            assert_eq!(owner.wait(), Ok(0));
            // It is passed on, and nothing but a file system knows the kernel's own code here.
            assert_eq!(other.wait(), Err(EOPNOTSUPP));
            assert_eq!(fixture.passed(Reason::Fill), 1 + u64::from(bvec));
            fixture.settle(&other);
        }
        assert_eq!(fixture.disk.counters().get(Counter::Write), 0);
        Ok(())
    }

    #[test]
    fn the_submitter_has_the_last_reference() -> Result {
        // Requests end before their submission does.
        let fixture = Plain::ending(IrqMode::None)?;
        for bios in [1, 3] {
            let io = fixture.complete(0, pattern(bios * EXTENT, 5)?, ASYNC_WRITE)?;
            assert!(!io.was_queued());
            assert_eq!(io.wait(), Ok(bios * EXTENT));
        }
        assert_eq!(fixture.routes(), [2, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_completer_has_the_last_reference() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        for bios in [1, 3] {
            let io = fixture.start(0, pattern(bios * EXTENT, 6)?, ASYNC_WRITE)?;
            assert!(io.was_queued());
            assert_eq!(io.dio_count(), 1);
            assert_eq!(io.wait(), Ok(bios * EXTENT));
            fixture.settle(&io);
        }
        assert_eq!(fixture.routes(), [0, 0, 0, 2, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_waiter_gets_the_last_reference() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        for bios in [1, 3] {
            let options = TestIoOptions {
                sync: true,
                ..ASYNC_WRITE
            };
            let io = fixture.complete(0, pattern(bios * EXTENT, 7)?, options)?;
            assert!(!io.was_queued());
            assert_eq!(io.wait(), Ok(bios * EXTENT));
        }
        assert_eq!(fixture.routes(), [0, 2, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn an_error_in_any_bio_fails_the_request() -> Result {
        const BIOS: usize = 5;
        for (irqmode, sync, routes) in [
            (IrqMode::None, false, [1, 0, 0, 0, 0, 0]),
            (IrqMode::Timer, true, [0, 1, 0, 0, 0, 0]),
            (IrqMode::Timer, false, [0, 0, 0, 0, 0, 1]),
        ] {
            for bad in [0, BIOS / 2, BIOS - 1] {
                for options in [ASYNC_READ, ASYNC_WRITE] {
                    let fixture = Plain::ending(irqmode)?;
                    let sector = sector_of(bad);
                    fixture.disk.storage().bad().set_bad(sector..sector + 1)?;
                    let options = TestIoOptions { sync, ..options };
                    let io = fixture.complete(0, bytes(0, BIOS * EXTENT)?, options)?;
                    assert_eq!(io.wait(), Err(EIO));
                    assert_eq!(io.advanced_to(), 0);
                    assert_eq!(fixture.routes(), routes);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn polled_requests_are_completed_by_the_reaper() -> Result {
        let fixture = Plain::polled()?;
        let io = fixture.start(0, pattern(EXTENT, 8)?, POLLED_WRITE)?;
        assert!(io.was_queued());
        assert!(io.poll_cookie().is_some());
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(fixture.routes(), [0, 0, 1, 0, 0, 0]);

        let io = fixture.start(0, bytes(0, EXTENT)?, POLLED_READ)?;
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert!(io.buf() == &pattern(EXTENT, 8)?[..]);

        // An error is no reason to leave it to the worker.
        fixture.disk.storage().bad().set_bad(0..1)?;
        let io = fixture.start(0, bytes(0, EXTENT)?, POLLED_WRITE)?;
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.routes(), [0, 0, 3, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn any_poller_reaps_all() -> Result {
        let fixture = Plain::polled()?;
        let first = fixture.start(0, pattern(EXTENT, 9)?, POLLED_WRITE)?;
        let second = fixture.start(MIB, pattern(EXTENT, 10)?, POLLED_WRITE)?;
        // Nothing is held for a request that only waits for a poller.
        first.poll(|cookie, task| -> Result {
            fixture.device().poll(cookie.ok_or(EINVAL)?, task);
            Ok(())
        })?;
        assert_eq!(first.completions(), 0);
        assert_eq!(first.dio_count(), 0);
        assert_eq!(fixture.poll(&first), 2);
        for io in [first, second] {
            fixture.settle(&io);
            assert_eq!(io.wait(), Ok(EXTENT));
        }
        Ok(())
    }

    #[test]
    fn plugged_requests_are_polled_when_they_have_been_started() -> Result {
        let fixture = Plain::polled()?;
        // The block layer starts none of them before the plug is finished.
        let ios = with_plug(|| -> Result<_> {
            let mut ios = KVec::new();
            for i in 0..4 {
                let io = fixture.start(i * MIB, pattern(EXTENT, 15)?, POLLED_WRITE)?;
                assert!(io.poll_cookie().is_none());
                ios.push(io, GFP_KERNEL)?;
            }
            Ok(ios)
        })?;
        for io in &ios {
            fixture.poll(io);
            assert_eq!(io.wait(), Ok(EXTENT));
            assert!(io.poll_cookie().is_none());
        }
        for io in &ios {
            fixture.settle(io);
        }
        assert_eq!(fixture.routes(), [0, 0, 4, 0, 0, 0]);
        assert_eq!(fixture.disk.counters().get(Counter::Timeout), 0);
        Ok(())
    }

    #[test]
    fn requests_of_several_bios_are_not_polled() -> Result {
        let fixture = Plain::polled()?;
        let io = fixture.complete(0, pattern(2 * EXTENT, 11)?, POLLED_WRITE)?;
        assert_eq!(io.wait(), Ok(2 * EXTENT));
        assert_eq!(fixture.disk.counters().get(Counter::Polled), 0);
        Ok(())
    }

    #[test]
    fn durable_writes_flush_where_they_cannot_write_through() -> Result {
        // Of the disk: a cache, FUA. Then flushes and FUA writes, and who completed the request.
        for (write_cache, fua, flushes, fuas, route) in [
            (false, false, 0, 0, Route::Inline),
            (true, true, 0, 1, Route::Inline),
            (true, false, 1, 0, Route::Worker),
        ] {
            let fixture = Plain::on(Config {
                irqmode: IrqMode::Timer,
                completion_nsec: Config::SLOWLY,
                write_cache,
                fua,
                ..Config::for_tests()
            })?;
            let dsync = TestIoOptions {
                dsync: true,
                ..ASYNC_WRITE
            };
            let io = fixture.complete(0, pattern(EXTENT, 12)?, dsync)?;
            assert_eq!(io.wait(), Ok(EXTENT));
            let counters = fixture.disk.counters();
            assert_eq!(counters.get(Counter::Flush), flushes);
            assert_eq!(counters.get(Counter::Fua), fuas);
            assert_eq!(fixture.engine.stats.routes.get(route), 1);
        }
        Ok(())
    }

    #[test]
    fn a_failed_write_is_not_flushed() -> Result {
        let fixture = Plain::on(Config {
            irqmode: IrqMode::Timer,
            write_cache: true,
            ..Config::for_tests()
        })?;
        fixture.disk.storage().bad().set_bad(0..1)?;
        let dsync = TestIoOptions {
            dsync: true,
            ..ASYNC_WRITE
        };
        let io = fixture.complete(0, pattern(EXTENT, 13)?, dsync)?;
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.disk.counters().get(Counter::Flush), 0);
        Ok(())
    }

    #[test]
    fn a_durable_write_that_fails_at_once_gives_the_submitter_its_error() -> Result {
        // The worker cannot return it from the submission, where the issuer could try again.
        let fixture = Plain::on(Config {
            write_cache: true,
            ..Config::for_tests()
        })?;
        fixture.disk.storage().bad().set_bad(0..1)?;
        let dsync = TestIoOptions {
            dsync: true,
            ..ASYNC_WRITE
        };
        let io = fixture.complete(0, pattern(EXTENT, 19)?, dsync)?;
        assert!(!io.was_queued());
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.routes(), [1, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn nowait_takes_one_bio_only() -> Result {
        let fixture = Plain::ending(IrqMode::SoftIrq)?;
        let nowait = TestIoOptions {
            nowait: true,
            ..ASYNC_WRITE
        };
        let io = fixture.complete(0, pattern(2 * EXTENT, 14)?, nowait)?;
        assert_eq!(io.wait(), Err(EAGAIN));
        // Not even a part of it was written.
        assert_eq!(fixture.disk.counters().get(Counter::Write), 0);
        Ok(())
    }

    #[test]
    fn an_exclusion_waits_for_direct_io() -> Result {
        let fixture = Plain::ending(IrqMode::Timer)?;
        let io = fixture.start(0, pattern(EXTENT, 15)?, ASYNC_WRITE)?;
        assert!(io.was_queued());
        // The disk's timer fires while this waits for direct I/O.
        assert_eq!(io.without_dio(fixture.device(), || io.dio_count()), 0);
        assert_eq!(io.wait(), Ok(EXTENT));
        Ok(())
    }

    #[test]
    fn direct_io_waits_for_the_end_of_an_exclusion() -> Result {
        let fixture = Plain::ending(IrqMode::SoftIrq)?;
        let nowait = TestIoOptions {
            nowait: true,
            ..ASYNC_WRITE
        };
        let other = fixture.complete(0, pattern(EXTENT, 16)?, ASYNC_WRITE)?;
        let refused = other.without_dio(fixture.device(), || {
            fixture.complete(0, pattern(EXTENT, 17)?, nowait)
        })?;
        assert_eq!(refused.wait(), Err(EAGAIN));
        assert_eq!(refused.dio_count(), 0);
        assert_eq!(fixture.disk.counters().get(Counter::Write), 1);
        // After the exclusion, direct I/O goes on.
        let io = fixture.complete(0, pattern(EXTENT, 18)?, nowait)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        Ok(())
    }

    #[test]
    fn reads_end_at_the_end_of_the_file() -> Result {
        let end = SIZE - 512;
        let fixture = Plain::with(plain_mapping, end, Config::for_tests())?;
        for nowait in [false, true] {
            for sync in [false, true] {
                let options = TestIoOptions {
                    nowait,
                    sync,
                    ..ASYNC_READ
                };
                let io = fixture.complete(end, bytes(1, EXTENT)?, options)?;
                assert_eq!(io.wait(), Ok(0));
                let io = fixture.complete(end - 512, bytes(1, EXTENT)?, options)?;
                assert_eq!(io.wait(), Ok(512));
                assert_eq!(io.advanced_to(), end);
            }
        }
        assert_eq!(fixture.all_passed(), 0);
        Ok(())
    }

    #[test]
    fn disks_are_removed_under_io() -> Result {
        for round in 0..100 {
            let fixture = Plain::on(Config {
                irqmode: IrqMode::Timer,
                completion_nsec: 1_000_000,
                ..Config::for_tests()
            })?;
            let mut ios = KVec::new();
            for i in 0..4 {
                let options = if i % 2 == 0 { ASYNC_WRITE } else { ASYNC_READ };
                let io = fixture.start(i * MIB / 4, pattern(3 * EXTENT, round)?, options)?;
                ios.push(io, GFP_KERNEL)?;
            }
            let Plain { engine, disk, file } = fixture;
            drop(disk);
            for io in &ios {
                // They were submitted before the removal, so they end without an error.
                assert_eq!(io.wait(), Ok(3 * EXTENT));
                assert_eq!(io.completions(), 1);
            }
            assert_eq!(ios[0].dio_count(), 0);
            drop((engine, file));
        }
        Ok(())
    }

    #[test]
    fn a_disk_that_is_gone_gives_errors() -> Result {
        let Plain { engine, file, disk } = Plain::ending(IrqMode::SoftIrq)?;
        drop(disk);
        for options in [ASYNC_READ, ASYNC_WRITE] {
            for sync in [false, true] {
                for bios in [1, 3] {
                    let options = TestIoOptions { sync, ..options };
                    let buf = bytes(0, bios * EXTENT)?;
                    let io = TestIo::new(&file, engine.clone(), 0, buf, options)?;
                    io.as_ref()
                        .issue(|kiocb, iter, io| file.rw(kiocb, iter, &without_end_io(), io));
                    assert_eq!(io.wait(), Err(EIO));
                    assert_eq!(io.completions(), 1);
                    assert_eq!(io.dio_count(), 0);
                }
            }
        }
        Ok(())
    }
}
