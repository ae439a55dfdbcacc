// SPDX-License-Identifier: GPL-2.0

//! The engine on null disks: which context completes a request, with which result, and how often.

mod defer;

use core::marker::PhantomData;

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

use kernel_ext::{
    block::{
        plug::with_plug,
        BdevFile, //
    },
    context::MaySleep,
    dio::test_io::{
        TestIo,
        TestIoOptions, //
    },
    fs::{
        iomap::Extent,
        Issued, //
    },
};

use crate::{
    disk::{
        Config,
        Counter,
        Disk,
        IrqMode, //
    },
    named::Named,
};

use super::{
    file::EndIoHook,
    request::DioState,
    route::Route,
    submit,
    DioFile,
    Direction,
    Engine,
    File,
    Policy, //
};

/// The bytes of an extent of the file.
const EXTENT: usize = 4096;
const MIB: u64 = 1 << 20;

/// A completion hook, as a type.
trait Hook: Send + Sync + 'static {
    const HOOK: EndIoHook;
}

struct NoHook;
struct Counted;
struct Uncounted;

impl Hook for NoHook {
    const HOOK: EndIoHook = EndIoHook::None;
}

impl Hook for Counted {
    const HOOK: EndIoHook = EndIoHook::Counted;
}

impl Hook for Uncounted {
    const HOOK: EndIoHook = EndIoHook::Uncounted;
}

/// A file whose extents lie on the device with gaps between them, so that the block layer cannot
/// merge its bios.
struct TestFile<H: Hook> {
    size: u64,
    /// How often the hook was called.
    hooked: Atomic<u32>,
    _p: PhantomData<H>,
}

impl<H: Hook> DioFile for TestFile<H> {
    const END_IO: EndIoHook = H::HOOK;

    fn end_io(&self, _dio: &DioState, _ctx: &MaySleep) -> Result {
        self.hooked.add(1, Relaxed);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn map(&self, pos: u64, _len: u64) -> Result<Extent> {
        let extent = EXTENT as u64;
        Ok(Extent {
            sector: sector_of((pos / extent) as usize) + pos % extent / 512,
            len: extent - pos % extent,
        })
    }
}

type Io<H> = Pin<KBox<TestIo<File<TestFile<H>>>>>;

/// Where the extent number `index` lies.
fn sector_of(index: usize) -> u64 {
    2 * (index * EXTENT / 512) as u64
}

/// A file on a disk.
struct Fixture<H: Hook = NoHook> {
    file: Arc<File<TestFile<H>>>,
    disk: Disk,
}

impl<H: Hook> Fixture<H> {
    fn new(irqmode: IrqMode) -> Result<Self> {
        Self::with(Config {
            irqmode,
            completion_nsec: Config::SLOWLY,
            ..Config::for_tests()
        })
    }

    /// Creates a file on a disk that can be polled, and that completes other requests at once.
    fn polled() -> Result<Self> {
        Self::with(Config {
            poll_queues: 1,
            ..Config::for_tests()
        })
    }

    fn with(config: Config) -> Result<Self> {
        let disk = Disk::for_test(&config)?;
        let engine = Engine::new(BdevFile::open(disk.block_device())?, c"rnull_dio_test")?;
        let inner = TestFile {
            size: 4 * MIB,
            hooked: Atomic::new(0),
            _p: PhantomData,
        };
        let file = Arc::new(File::new(inner, &engine)?, GFP_KERNEL)?;
        Ok(Self { file, disk })
    }

    /// Sets the policy.
    fn under(self, policy: Policy) -> Self {
        self.file.engine().set_policy(policy);
        self
    }

    /// Issues a request.
    fn issue(&self, pos: u64, buf: VVec<u8>, options: TestIoOptions) -> Result<Io<H>> {
        let io = TestIo::new(self.file.clone(), pos, buf, options)?;
        io.as_ref()
            .issue(|kiocb, iter, io| submit(direction(options), kiocb, iter, io));
        Ok(io)
    }

    /// Issues a request, waits for its result, and checks that there is one.
    fn run(&self, pos: u64, buf: VVec<u8>, options: TestIoOptions) -> Result<Io<H>> {
        let io = self.issue(pos, buf, options)?;
        let _ = io.wait();
        self.settle(&io);
        Ok(io)
    }

    /// Checks what must hold when a request is done.
    fn settle(&self, io: &TestIo<File<TestFile<H>>>) {
        assert_eq!(io.completions(), 1);
        assert_eq!(io.dio_count(), 0);
    }

    /// Returns how many requests took each route: submitter, waiter, reaper, inline, issuer,
    /// worker.
    fn routes(&self) -> [u64; 6] {
        core::array::from_fn(|i| self.file.engine().stats.routes.get(Route::ALL[i]))
    }

    /// Waits until the request is done. Runs what is handed over, as its issuer would.
    fn finish(&self, io: &TestIo<File<TestFile<H>>>) {
        while io.completions() == 0 {
            if io.was_handed_over() {
                io.run_deferred();
            } else {
                io.nap();
            }
        }
    }

    /// Polls until the request is done.
    fn poll(&self, io: &TestIo<File<TestFile<H>>>) -> u32 {
        let mut reaped = 0;
        while io.completions() == 0 {
            reaped += io.poll(|cookie, task| super::poll(self.file.engine(), cookie, task));
        }
        reaped
    }
}

const READ: TestIoOptions = TestIoOptions::READ;

const POLLED_READ: TestIoOptions = TestIoOptions {
    hipri: true,
    ..READ
};

const POLLED_WRITE: TestIoOptions = TestIoOptions {
    hipri: true,
    ..WRITE
};

const WRITE: TestIoOptions = TestIoOptions {
    write: true,
    ..READ
};

fn direction(options: TestIoOptions) -> Direction {
    if options.write {
        Direction::Write
    } else {
        Direction::Read
    }
}

/// Returns `len` bytes of the pseudo-random sequence that `seed` selects.
fn pattern(len: usize, seed: u32) -> Result<VVec<u8>> {
    let mut buf = VVec::with_capacity(len, GFP_KERNEL)?;
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    for _ in 0..len {
        // A linear congruential generator.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // CAST: The upper byte is the most random one.
        buf.push((state >> 24) as u8, GFP_KERNEL)?;
    }
    Ok(buf)
}

fn zeroes(len: usize) -> Result<VVec<u8>> {
    Ok(VVec::from_elem(0, len, GFP_KERNEL)?)
}

#[kunit_tests(rnull_dio_engine)]
mod cases {
    use super::*;

    #[test]
    fn data_comes_back_from_one_and_many_bios() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::SoftIrq)?;
        for (bios, seed) in [(1, 1), (2, 2), (257, 3)] {
            for sync in [false, true] {
                let len = bios * EXTENT;
                let seed = seed + 10 * u32::from(sync);
                let written = fixture.disk.counters().get(Counter::Write);
                let io = fixture.run(MIB, pattern(len, seed)?, TestIoOptions { sync, ..WRITE })?;
                assert_eq!(io.wait(), Ok(len));
                assert_eq!(io.advanced_to(), MIB + len as u64);
                let written = fixture.disk.counters().get(Counter::Write) - written;
                assert_eq!(written, bios as u64);

                let io = fixture.run(MIB, zeroes(len)?, TestIoOptions { sync, ..READ })?;
                assert_eq!(io.wait(), Ok(len));
                assert!(io.buf() == &pattern(len, seed)?[..]);
            }
        }
        Ok(())
    }

    #[test]
    fn bvecs_are_used_as_they_are() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        let bvec = |options| TestIoOptions {
            bvec: true,
            ..options
        };
        let io = fixture.run(0, pattern(5 * EXTENT, 4)?, bvec(WRITE))?;
        assert_eq!(io.wait(), Ok(5 * EXTENT));
        // Across the extents' and the pages' boundaries.
        let offset = 512;
        let io = fixture.run(
            1024,
            zeroes(2 * EXTENT + offset)?,
            TestIoOptions {
                offset,
                ..bvec(READ)
            },
        )?;
        assert_eq!(io.wait(), Ok(2 * EXTENT));
        assert!(io.buf() == &pattern(5 * EXTENT, 4)?[1024..][..2 * EXTENT]);
        Ok(())
    }

    #[test]
    fn the_memory_of_another_request_is_refused() -> Result {
        // It may be gone when this request is done.
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        for bvec in [false, true] {
            let options = TestIoOptions { bvec, ..WRITE };
            let new = |seed| TestIo::new(fixture.file.clone(), 0, pattern(EXTENT, seed)?, options);
            let (owner, other) = (new(16)?, new(17)?);
            owner.as_ref().issue(|kiocb, iter, _| {
                other
                    .as_ref()
                    .issue(|kiocb, _, io| submit(Direction::Write, kiocb, iter, io));
                Issued::Done(kiocb, Ok(0))
            });
            assert_eq!(owner.wait(), Ok(0));
            assert_eq!(other.wait(), Err(EINVAL));
            fixture.settle(&other);
        }
        assert_eq!(fixture.disk.counters().get(Counter::Write), 0);
        Ok(())
    }

    #[test]
    fn memory_of_the_wrong_direction_is_refused() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        for (options, direction) in [(READ, Direction::Write), (WRITE, Direction::Read)] {
            for bvec in [false, true] {
                let options = TestIoOptions { bvec, ..options };
                let io = TestIo::new(fixture.file.clone(), 0, zeroes(EXTENT)?, options)?;
                io.as_ref()
                    .issue(|kiocb, iter, io| submit(direction, kiocb, iter, io));
                assert_eq!(io.wait(), Err(EINVAL));
                fixture.settle(&io);
            }
        }
        Ok(())
    }

    #[test]
    fn the_submitter_has_the_last_reference() -> Result {
        // Requests end before their submission does.
        let fixture: Fixture = Fixture::new(IrqMode::None)?;
        for bios in [1, 3] {
            let io = fixture.run(0, pattern(bios * EXTENT, 5)?, WRITE)?;
            assert!(!io.was_queued());
            assert_eq!(io.wait(), Ok(bios * EXTENT));
        }
        assert_eq!(fixture.routes(), [2, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_completer_has_the_last_reference() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        for bios in [1, 3] {
            let io = fixture.issue(0, pattern(bios * EXTENT, 6)?, WRITE)?;
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
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        for bios in [1, 3] {
            let options = TestIoOptions {
                sync: true,
                ..WRITE
            };
            let io = fixture.run(0, pattern(bios * EXTENT, 7)?, options)?;
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
                for options in [READ, WRITE] {
                    let fixture: Fixture = Fixture::new(irqmode)?;
                    let sector = sector_of(bad);
                    fixture.disk.storage().bad().set_bad(sector..sector + 1)?;
                    let options = TestIoOptions { sync, ..options };
                    let io = fixture.run(0, zeroes(BIOS * EXTENT)?, options)?;
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
        let fixture: Fixture = Fixture::polled()?;
        let io = fixture.issue(0, pattern(EXTENT, 8)?, POLLED_WRITE)?;
        assert!(io.was_queued());
        assert!(io.poll_cookie().is_some());
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert_eq!(io.wait(), Ok(EXTENT));
        assert_eq!(fixture.routes(), [0, 0, 1, 0, 0, 0]);

        let io = fixture.issue(0, zeroes(EXTENT)?, POLLED_READ)?;
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert!(io.buf() == &pattern(EXTENT, 8)?[..]);

        // An error is no reason to leave it to the worker.
        fixture.disk.storage().bad().set_bad(0..1)?;
        let io = fixture.issue(0, zeroes(EXTENT)?, POLLED_WRITE)?;
        assert_eq!(fixture.poll(&io), 1);
        fixture.settle(&io);
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.routes(), [0, 0, 3, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn any_poller_reaps_all() -> Result {
        let fixture: Fixture = Fixture::polled()?;
        let first = fixture.issue(0, pattern(EXTENT, 9)?, POLLED_WRITE)?;
        let second = fixture.issue(MIB, pattern(EXTENT, 10)?, POLLED_WRITE)?;
        // Nothing is held for a request that only waits for a poller.
        first.poll(|cookie, task| -> Result {
            fixture
                .file
                .engine()
                .device
                .poll(cookie.ok_or(EINVAL)?, task);
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
        let fixture: Fixture = Fixture::polled()?;
        // The block layer starts none of them before the plug is finished.
        let ios = with_plug(|| -> Result<_> {
            let mut ios = KVec::new();
            for i in 0..4 {
                let io = fixture.issue(i * MIB, pattern(EXTENT, 15)?, POLLED_WRITE)?;
                assert!(io.poll_cookie().is_none());
                ios.push(io, GFP_KERNEL)?;
            }
            Ok(ios)
        })?;
        for io in ios {
            fixture.poll(&io);
            fixture.settle(&io);
            assert_eq!(io.wait(), Ok(EXTENT));
            assert!(io.poll_cookie().is_none());
        }
        assert_eq!(fixture.routes(), [0, 0, 4, 0, 0, 0]);
        assert_eq!(fixture.disk.counters().get(Counter::Timeout), 0);
        Ok(())
    }

    #[test]
    fn requests_of_several_bios_are_not_polled() -> Result {
        let fixture: Fixture = Fixture::polled()?;
        let io = fixture.run(0, pattern(2 * EXTENT, 11)?, POLLED_WRITE)?;
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
            let fixture: Fixture = Fixture::with(Config {
                irqmode: IrqMode::Timer,
                completion_nsec: Config::SLOWLY,
                write_cache,
                fua,
                ..Config::for_tests()
            })?;
            let dsync = TestIoOptions {
                dsync: true,
                ..WRITE
            };
            let io = fixture.run(0, pattern(EXTENT, 12)?, dsync)?;
            assert_eq!(io.wait(), Ok(EXTENT));
            let counters = fixture.disk.counters();
            assert_eq!(counters.get(Counter::Flush), flushes);
            assert_eq!(counters.get(Counter::Fua), fuas);
            assert_eq!(fixture.file.engine().stats.routes.get(route), 1);
        }
        Ok(())
    }

    #[test]
    fn a_failed_write_is_not_flushed() -> Result {
        let fixture: Fixture = Fixture::with(Config {
            irqmode: IrqMode::Timer,
            write_cache: true,
            ..Config::for_tests()
        })?;
        fixture.disk.storage().bad().set_bad(0..1)?;
        let dsync = TestIoOptions {
            dsync: true,
            ..WRITE
        };
        let io = fixture.run(0, pattern(EXTENT, 13)?, dsync)?;
        assert_eq!(io.wait(), Err(EIO));
        assert_eq!(fixture.disk.counters().get(Counter::Flush), 0);
        Ok(())
    }

    #[test]
    fn nowait_takes_one_bio_only() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::SoftIrq)?;
        let nowait = TestIoOptions {
            nowait: true,
            ..WRITE
        };
        let io = fixture.run(0, pattern(2 * EXTENT, 14)?, nowait)?;
        assert_eq!(io.wait(), Err(EAGAIN));
        // Not even a part of it was written.
        assert_eq!(fixture.disk.counters().get(Counter::Write), 0);
        Ok(())
    }

    #[test]
    fn an_exclusion_waits_for_direct_io() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::Timer)?;
        let io = fixture.issue(0, pattern(EXTENT, 15)?, WRITE)?;
        assert!(io.was_queued());
        // The disk's timer fires while this waits for direct I/O.
        assert_eq!(io.without_dio(|| io.dio_count()), 0);
        assert_eq!(io.wait(), Ok(EXTENT));
        Ok(())
    }

    #[test]
    fn direct_io_waits_for_the_end_of_an_exclusion() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::SoftIrq)?;
        let nowait = TestIoOptions {
            nowait: true,
            ..WRITE
        };
        let other = fixture.run(0, pattern(EXTENT, 16)?, WRITE)?;
        let refused = other.without_dio(|| fixture.run(0, pattern(EXTENT, 17)?, nowait))?;
        assert_eq!(refused.wait(), Err(EAGAIN));
        assert_eq!(refused.dio_count(), 0);
        assert_eq!(fixture.disk.counters().get(Counter::Write), 1);
        // After the exclusion, direct I/O goes on.
        let io = fixture.run(0, pattern(EXTENT, 18)?, nowait)?;
        assert_eq!(io.wait(), Ok(EXTENT));
        Ok(())
    }

    #[test]
    fn bad_requests_are_refused() -> Result {
        let fixture: Fixture = Fixture::new(IrqMode::SoftIrq)?;
        let size = fixture.file.inner.size;
        let odd = TestIoOptions { offset: 1, ..WRITE };
        for (pos, len, options, expected) in [
            (1, EXTENT, WRITE, Err(EINVAL)),
            (0, EXTENT + 1, READ, Err(EINVAL)),
            (0, EXTENT + 1, odd, Err(EINVAL)),
            (size, EXTENT, WRITE, Err(ENOSPC)),
            (size, EXTENT, READ, Ok(0)),
            (size - 512, EXTENT, READ, Ok(512)),
            (size - 512, EXTENT, WRITE, Ok(512)),
        ] {
            for sync in [false, true] {
                let io = fixture.run(pos, zeroes(len)?, TestIoOptions { sync, ..options })?;
                assert_eq!(io.wait(), expected);
            }
        }
        Ok(())
    }

    #[test]
    fn disks_are_removed_under_io() -> Result {
        for round in 0..100 {
            let fixture: Fixture = Fixture::with(Config {
                irqmode: IrqMode::Timer,
                completion_nsec: 1_000_000,
                ..Config::for_tests()
            })?;
            let mut ios = KVec::new();
            for i in 0..4 {
                let options = if i % 2 == 0 { WRITE } else { READ };
                let io = fixture.issue(i * MIB / 4, pattern(3 * EXTENT, round)?, options)?;
                ios.push(io, GFP_KERNEL)?;
            }
            let Fixture { file, disk } = fixture;
            drop(disk);
            for io in ios {
                // They were submitted before the removal, so they end without an error.
                assert_eq!(io.wait(), Ok(3 * EXTENT));
                assert_eq!(io.completions(), 1);
                assert_eq!(io.dio_count(), 0);
            }
            drop(file);
        }
        Ok(())
    }

    #[test]
    fn a_disk_that_is_gone_gives_errors() -> Result {
        let Fixture::<NoHook> { file, disk } = Fixture::new(IrqMode::SoftIrq)?;
        drop(disk);
        for options in [READ, WRITE] {
            for sync in [false, true] {
                for bios in [1, 3] {
                    let options = TestIoOptions { sync, ..options };
                    let io = TestIo::new(file.clone(), 0, zeroes(bios * EXTENT)?, options)?;
                    let direction = direction(options);
                    io.as_ref()
                        .issue(|kiocb, iter, io| crate::dio::submit(direction, kiocb, iter, io));
                    assert_eq!(io.wait(), Err(EIO));
                    assert_eq!(io.completions(), 1);
                    assert_eq!(io.dio_count(), 0);
                }
            }
        }
        Ok(())
    }
}
