// SPDX-License-Identifier: GPL-2.0

//! The engine of attached file systems on files whose mappings are made here.

mod batch;
mod durable;
mod errors;
mod flags;
mod mappings;
mod maps;

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::BdevFile,
    dio::test_io::{
        CallOptions,
        MappedFile,
        TestIo,
        TestIoOptions, //
    },
};

use crate::{
    dio::{
        Policy,
        Route, //
    },
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
    fs::LiveFs,
    passed::Reason, //
};

type Io = Pin<KBox<TestIo<LiveFs>>>;

const READ: TestIoOptions = TestIoOptions {
    sync: true,
    ..TestIoOptions::READ
};

const WRITE: TestIoOptions = TestIoOptions {
    write: true,
    ..READ
};

const ASYNC_WRITE: TestIoOptions = TestIoOptions {
    sync: false,
    ..WRITE
};

/// An attached file system with one file on a null disk.
struct Fixture {
    fs: Arc<LiveFs>,
    file: Arc<MappedFile<Maps>>,
    disk: Disk,
}

impl Fixture {
    /// Creates a file with the mappings of `script`, on a disk that completes requests at once.
    fn new(script: Script) -> Result<Self> {
        Self::with(script, Config::for_tests())
    }

    /// As [`new`](Self::new), but requests end after their submission is over.
    fn slow(script: Script) -> Result<Self> {
        Self::with(
            script,
            Config {
                irqmode: IrqMode::Timer,
                completion_nsec: Config::SLOWLY,
                ..Config::for_tests()
            },
        )
    }

    fn with(script: Script, config: Config) -> Result<Self> {
        let disk = Disk::for_test(&config)?;
        let device = BdevFile::open(disk.block_device())?;
        let maps = Arc::new(Maps::new(device, script)?, GFP_KERNEL)?;
        Ok(Self {
            fs: Arc::pin_init(LiveFs::new(c"rnull_dio_test", Policy::Auto)?, GFP_KERNEL)?,
            file: Arc::new(MappedFile::new(SIZE, maps)?, GFP_KERNEL)?,
            disk,
        })
    }

    /// Issues a request.
    fn issue(
        &self,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
        call: CallOptions,
    ) -> Result<Io> {
        let io = TestIo::mapped(&self.file, self.fs.clone(), pos, buf, options)?;
        io.as_ref()
            .issue(|kiocb, iter, io| self.file.rw(kiocb, iter, &call, io));
        Ok(io)
    }

    /// Issues a request, and waits for its result.
    fn run(&self, pos: u64, buf: VVec<u8>, options: TestIoOptions) -> Result<Io> {
        self.call(pos, buf, options, CallOptions::default())
    }

    /// As [`run`](Self::run), with what a file system asks for.
    fn call(
        &self,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
        call: CallOptions,
    ) -> Result<Io> {
        let io = self.issue(pos, buf, options, call)?;
        let _ = io.wait();
        self.settle(&io);
        Ok(io)
    }

    /// Checks what must hold when a request is done.
    fn settle(&self, io: &TestIo<LiveFs>) {
        assert_eq!(io.completions(), 1);
        // Dropped before the issuer gets the result.
        assert_eq!(io.dio_count(), 0);
        assert_eq!(self.file.maps().open_mappings(), 0);
    }

    /// Returns how many requests took a route.
    fn route(&self, route: Route) -> u64 {
        self.fs.stats.routes.get(route)
    }

    /// Returns how many requests were passed on, for a reason.
    fn passed(&self, reason: Reason) -> u64 {
        self.fs.stats.passed.get(reason)
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
    fn data(&self, pos: u64, len: usize) -> Result<Io> {
        self.file
            .maps()
            .with_plain(pos / 512, || self.run(0, bytes(0, len)?, READ))
    }
}

/// Returns `len` bytes `byte`.
fn bytes(byte: u8, len: usize) -> Result<VVec<u8>> {
    Ok(VVec::from_elem(byte, len, GFP_KERNEL)?)
}

/// Returns whether all bytes are `byte`.
fn all_are(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().all(|&found| found == byte)
}
