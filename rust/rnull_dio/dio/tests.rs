// SPDX-License-Identifier: GPL-2.0

//! The engine on files whose mappings are made here, on null disks.

mod batch;
mod contexts;
mod defer;
mod durable;
mod errors;
mod flags;
mod mappings;
mod maps;
mod plain;

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::BdevFile,
    dio::{
        test_io::{
            CallOptions,
            MappedFile,
            TestIo,
            TestIoOptions, //
        },
        DioGate,
    },
};

use crate::{
    disk::{
        Config,
        Disk,
        IrqMode, //
    },
    named::Named,
};

use self::maps::{
    Call,
    Maps,
    Script,
    BLOCK,
    SIZE, //
};

use super::{
    direction::Direction,
    passed::Reason,
    route::Route,
    Engine,
    Files,
    Policy, //
};

type Io<F = Counted> = Pin<KBox<TestIo<Engine<F>>>>;

const READ: TestIoOptions = TestIoOptions {
    sync: true,
    ..TestIoOptions::READ
};

const WRITE: TestIoOptions = TestIoOptions {
    write: true,
    ..READ
};

const ASYNC_READ: TestIoOptions = TestIoOptions {
    sync: false,
    ..READ
};

const ASYNC_WRITE: TestIoOptions = TestIoOptions {
    sync: false,
    ..WRITE
};

/// Files of which a test has one.
trait TestFiles: Files + Default {}

impl<F: Files + Default> TestFiles for F {}

/// Files of a file system that relies on the count of requests.
#[derive(Default)]
struct Counted;

impl Files for Counted {
    const COUNTED: bool = true;
    const WORKERS: usize = 2;
}

/// Files of a file system that excludes direct I/O by a gate.
#[derive(Default)]
struct Uncounted(DioGate);

impl Files for Uncounted {
    const COUNTED: bool = false;
    const WORKERS: usize = 1;

    fn gate(&self) -> Option<&DioGate> {
        Some(&self.0)
    }
}

/// An engine for one file on a null disk.
struct Fixture<F: TestFiles = Counted> {
    engine: Arc<Engine<F>>,
    file: Arc<MappedFile<Maps>>,
    disk: Disk,
}

impl Fixture {
    /// Creates a file with the mappings of `script`, on a disk that completes requests at once.
    fn new(script: Script) -> Result<Self> {
        Self::with(script, SIZE, Config::for_tests())
    }

    /// As [`new`](Self::new), but requests end after their submission is over.
    fn slow(script: Script) -> Result<Self> {
        Self::with(
            script,
            SIZE,
            Config {
                irqmode: IrqMode::Timer,
                completion_nsec: Config::SLOWLY,
                ..Config::for_tests()
            },
        )
    }
}

impl<F: TestFiles> Fixture<F> {
    /// Creates a file of `size` bytes with the mappings of `script`, on a disk like `config`.
    fn with(script: Script, size: u64, config: Config) -> Result<Self> {
        let disk = Disk::for_test(&config)?;
        let device = BdevFile::open(disk.block_device())?;
        let maps = Arc::new(Maps::new(device, script)?, GFP_KERNEL)?;
        let engine = Engine::new(c"rnull_dio_test", Policy::Auto, F::default())?;
        Ok(Self {
            engine: Arc::pin_init(engine, GFP_KERNEL)?,
            file: Arc::new(MappedFile::new(size, maps)?, GFP_KERNEL)?,
            disk,
        })
    }

    /// Sets the policy.
    fn under(self, policy: Policy) -> Self {
        self.engine.set_policy(policy);
        self
    }

    /// Issues a request, with what a file system asks for.
    fn issue(
        &self,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
        call: CallOptions,
    ) -> Result<Io<F>> {
        self.issue_on(&self.file, pos, buf, options, call)
    }

    /// As [`issue`](Self::issue), for another file.
    fn issue_on(
        &self,
        file: &Arc<MappedFile<Maps>>,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
        call: CallOptions,
    ) -> Result<Io<F>> {
        let io = TestIo::new(file, self.engine.clone(), pos, buf, options)?;
        io.as_ref()
            .issue(|kiocb, iter, io| file.rw(kiocb, iter, &call, io));
        Ok(io)
    }

    /// Issues a request, and waits for its result.
    fn run(&self, pos: u64, buf: VVec<u8>, options: TestIoOptions) -> Result<Io<F>> {
        self.call(pos, buf, options, CallOptions::default())
    }

    /// As [`run`](Self::run), with what a file system asks for.
    fn call(
        &self,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
        call: CallOptions,
    ) -> Result<Io<F>> {
        let io = self.issue(pos, buf, options, call)?;
        let _ = io.wait();
        self.settle(&io);
        Ok(io)
    }

    /// Checks what must hold when a request is done.
    fn settle(&self, io: &TestIo<Engine<F>>) {
        assert_eq!(io.completions(), 1);
        // Dropped before the issuer gets the result.
        assert_eq!(io.dio_count(), 0);
        assert_eq!(self.file.maps().open_mappings(), 0);
    }

    /// Returns how many requests took a route.
    fn route(&self, route: Route) -> u64 {
        self.engine.stats.routes.get(route)
    }

    /// Returns how many requests took each route: submitter, waiter, reaper, inline, issuer,
    /// worker.
    fn routes(&self) -> [u64; 6] {
        core::array::from_fn(|i| self.route(Route::ALL[i]))
    }

    /// Returns how many requests were passed on, for a reason.
    fn passed(&self, reason: Reason) -> u64 {
        self.engine.stats.passed.get(reason)
    }

    /// Returns how many requests were passed on.
    fn all_passed(&self) -> u64 {
        Reason::ALL.iter().map(|&reason| self.passed(reason)).sum()
    }

    /// Returns the calls of `->end_io` since the last time.
    fn ends(&self) -> Result<KVec<Call>> {
        self.file.maps().take_ends()
    }

    /// Writes data to the device, from `pos` bytes on.
    fn fill(&self, pos: u64, buf: VVec<u8>) -> Result {
        self.file.maps().with_plain(pos / 512, || {
            let len = buf.len();
            assert_eq!(self.run(0, buf, WRITE)?.wait(), Ok(len));
            Ok(())
        })
    }

    /// Reads data of the device, from `pos` bytes on.
    fn data(&self, pos: u64, len: usize) -> Result<Io<F>> {
        self.file
            .maps()
            .with_plain(pos / 512, || self.run(0, bytes(0, len)?, READ))
    }
}

/// Returns `len` bytes `byte`.
fn bytes(byte: u8, len: usize) -> Result<VVec<u8>> {
    Ok(VVec::from_elem(byte, len, GFP_KERNEL)?)
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

/// Returns whether all bytes are `byte`.
fn all_are(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().all(|&found| found == byte)
}
