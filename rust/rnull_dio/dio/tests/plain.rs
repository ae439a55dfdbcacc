// SPDX-License-Identifier: GPL-2.0

//! Files whose extents have gaps between them, for tests of contexts.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    block::{
        BdevFile,
        BlockDevice, //
    },
    dio::test_io::{
        CallOptions,
        MappedFile,
        TestIo,
        TestIoOptions,
        TestMapping,
        TestMappings, //
    },
};

use crate::disk::{
    Config,
    IrqMode, //
};

use super::{
    super::{
        poll,
        Engine, //
    },
    maps::{
        mapped,
        Maps, //
    },
    Fixture,
    Io,
    TestFiles,
    Uncounted,
    ASYNC_WRITE, //
};

/// A file whose extents lie on the device with gaps between them, so that the block layer cannot
/// merge its bios.
pub(super) type Plain = Fixture<Uncounted>;

/// The bytes of an extent of the file.
pub(super) const EXTENT: usize = 4096;
pub(super) const MIB: u64 = 1 << 20;
/// The bytes of the file.
const FILE: u64 = 4 * MIB;

/// Where the extent number `index` lies.
pub(super) fn sector_of(index: usize) -> u64 {
    2 * (index * EXTENT / 512) as u64
}

fn extents(pos: u64, _index: u32) -> Result<TestMapping> {
    // CAST: From 32 bits to 64, and back.
    let extent = EXTENT as u64;
    let index = pos / extent;
    Ok(TestMapping {
        sector: sector_of(index as usize),
        ..mapped(index * extent, extent)
    })
}

/// What a file system without `->end_io` asks for.
pub(super) fn without_end_io() -> CallOptions {
    CallOptions {
        without_dio_ops: true,
        ..CallOptions::default()
    }
}

impl<F: TestFiles> Fixture<F> {
    pub(super) fn ending(irqmode: IrqMode) -> Result<Self> {
        Self::on(Config {
            irqmode,
            completion_nsec: Config::SLOWLY,
            ..Config::for_tests()
        })
    }

    /// Creates a file on a disk that can be polled, and that completes other requests at once.
    pub(super) fn polled() -> Result<Self> {
        Self::on(Config {
            poll_queues: 1,
            ..Config::for_tests()
        })
    }

    pub(super) fn on(config: Config) -> Result<Self> {
        Self::with(extents, FILE, config)
    }

    /// Issues a request.
    pub(super) fn start(&self, pos: u64, buf: VVec<u8>, options: TestIoOptions) -> Result<Io<F>> {
        self.issue(pos, buf, options, without_end_io())
    }

    /// Creates another file on the disk.
    pub(super) fn other_file(&self) -> Result<Arc<MappedFile<Maps>>> {
        let device = BdevFile::open(self.disk.block_device())?;
        let maps = Arc::new(Maps::new(device, extents)?, GFP_KERNEL)?;
        Ok(Arc::new(MappedFile::new(FILE, maps)?, GFP_KERNEL)?)
    }

    /// Issues a request, waits for its result, and checks that there is one.
    pub(super) fn complete(
        &self,
        pos: u64,
        buf: VVec<u8>,
        options: TestIoOptions,
    ) -> Result<Io<F>> {
        self.call(pos, buf, options, without_end_io())
    }

    pub(super) fn device(&self) -> &BlockDevice {
        self.file.maps().device()
    }

    /// Waits until the request is done. Runs what is handed over, as its issuer would.
    pub(super) fn finish(&self, io: &TestIo<Engine<F>>) {
        while io.completions() == 0 {
            if io.was_handed_over() {
                io.run_deferred();
            } else {
                io.nap();
            }
        }
    }

    /// Polls until the request is done.
    pub(super) fn poll(&self, io: &TestIo<Engine<F>>) -> u32 {
        let mut reaped = 0;
        while io.completions() == 0 {
            reaped += io.poll(|cookie, task| poll(&self.engine, self.device(), cookie, task));
        }
        reaped
    }
}

pub(super) const POLLED_WRITE: TestIoOptions = TestIoOptions {
    hipri: true,
    ..ASYNC_WRITE
};
