// SPDX-License-Identifier: GPL-2.0

//! Mappings that a test chooses, and a record of how they were used.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        Completion, //
    },
};

use kernel_ext::{
    block::{
        BdevFile,
        BlockDevice, //
    },
    context::MayIo,
    dio::{
        test_io::{
            BeginFlags,
            TestMapping,
            TestMappings,
            TestType, //
        },
        EndIoFlags, //
    },
};

/// Returns the mapping at `pos`, the number `index` of the request.
pub(super) type Script = fn(pos: u64, index: u32) -> Result<TestMapping>;

/// A call of `->end_io`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) pos: u64,
    pub(super) size: usize,
    /// The error as an errno, 0 if there is none.
    pub(super) error: i32,
    /// [`EndIoFlags::bits`].
    pub(super) flags: u32,
}

/// The bytes of a block of the file.
pub(super) const BLOCK: usize = 4096;
/// The bytes of the file.
pub(super) const SIZE: u64 = 1 << 20;

/// How many calls are recorded.
const CALLS: usize = 64;
/// A sector that no file begins at.
const OFF: u64 = u64::MAX;

pub(super) struct Maps {
    device: BdevFile,
    script: Script,
    /// The sector that the file begins at as a whole, while nothing is recorded; [`OFF`] otherwise.
    plain: Atomic<u64>,
    /// How many mappings the request has had.
    index: Atomic<u32>,
    /// How many mappings have been begun, and not finished.
    open: Atomic<i32>,
    /// What the last mapping was for: a bit for each field of [`BeginFlags`].
    purpose: Atomic<u32>,
    /// The bytes that were written to mappings, as they were finished.
    processed: Atomic<u64>,
    /// The errors, as errnos, of the calls of `->iomap_end` and `->end_io` that follow.
    pub(super) end_error: Atomic<i32>,
    pub(super) end_io_error: Atomic<i32>,
    later_error: Atomic<i32>,
    calls: [[Atomic<u64>; 4]; CALLS],
    /// How many calls have begun to be recorded, and how many are recorded.
    begun: Atomic<usize>,
    recorded: Atomic<usize>,
    /// How many more calls of `->end_io` wait for [`go_on`](Self::go_on).
    blocks: Atomic<i32>,
    may_go_on: Pin<KBox<Completion>>,
    is_blocked: Pin<KBox<Completion>>,
}

impl Maps {
    pub(super) fn new(device: BdevFile, script: Script) -> Result<Self> {
        let completion = || KBox::pin_init(Completion::new(), GFP_KERNEL);
        Ok(Self {
            device,
            script,
            plain: Atomic::new(OFF),
            index: Atomic::new(0),
            open: Atomic::new(0),
            purpose: Atomic::new(0),
            processed: Atomic::new(0),
            end_error: Atomic::new(0),
            end_io_error: Atomic::new(0),
            later_error: Atomic::new(0),
            calls: core::array::from_fn(|_| core::array::from_fn(|_| Atomic::new(0))),
            begun: Atomic::new(0),
            recorded: Atomic::new(0),
            blocks: Atomic::new(0),
            may_go_on: completion()?,
            is_blocked: completion()?,
        })
    }

    pub(super) fn open_mappings(&self) -> i32 {
        self.open.load(Relaxed)
    }

    /// Returns whether the last mapping was for `flags`.
    pub(super) fn was_for(&self, flags: BeginFlags) -> bool {
        self.purpose.load(Relaxed) == bits(flags)
    }

    /// Returns how many mappings have been begun.
    pub(super) fn begun_mappings(&self) -> u32 {
        self.index.load(Relaxed)
    }

    /// Returns how many bytes of mappings have been processed.
    pub(super) fn processed(&self) -> u64 {
        self.processed.load(Relaxed)
    }

    /// Makes calls of `->end_io` fail that follow the one that waits for [`go_on`](Self::go_on).
    pub(super) fn fail_later(&self, err: Error) {
        self.later_error.store(err.to_errno(), Relaxed);
    }

    /// Runs `f`, in which the file is mapped as a whole, from `sector` on.
    pub(super) fn with_plain<R>(&self, sector: u64, f: impl FnOnce() -> R) -> R {
        self.plain.store(sector, Relaxed);
        let ret = f();
        self.plain.store(OFF, Relaxed);
        ret
    }

    /// Returns the mapping of the file as a whole, within [`with_plain`](Self::with_plain).
    fn plain(&self) -> Option<TestMapping> {
        let sector = self.plain.load(Relaxed);
        (sector != OFF).then(|| TestMapping {
            sector,
            ..mapped(0, SIZE)
        })
    }

    /// Returns the calls of `->end_io` since the last time.
    pub(super) fn take_ends(&self) -> Result<KVec<Call>> {
        let mut ends = KVec::new();
        let recorded = self.recorded.load(Acquire);
        assert!(recorded <= CALLS, "more calls than there is room for");
        for [pos, size, error, flags] in &self.calls[..recorded] {
            ends.push(
                Call {
                    pos: pos.load(Relaxed),
                    // CAST: They were stored as these types.
                    size: size.load(Relaxed) as usize,
                    error: error.load(Relaxed) as i32,
                    flags: flags.load(Relaxed) as u32,
                },
                GFP_KERNEL,
            )?;
        }
        self.begun.store(0, Relaxed);
        self.recorded.store(0, Relaxed);
        Ok(ends)
    }

    /// Makes the next call of `->end_io` wait for [`go_on`](Self::go_on). It must be in a task.
    pub(super) fn block_next_end(&self) {
        self.blocks.store(1, Relaxed);
    }

    /// Sleeps until a call waits.
    pub(super) fn wait_until_blocked(&self) {
        self.is_blocked.wait_for_completion();
    }

    /// Lets the call go on that waits.
    pub(super) fn go_on(&self) {
        self.may_go_on.complete_all();
    }
}

/// Returns a bit for each field.
fn bits(flags: BeginFlags) -> u32 {
    [
        flags.direct,
        flags.write,
        flags.nowait,
        flags.overwrite_only,
        flags.other,
    ]
    .iter()
    .fold(0, |bits, &flag| bits << 1 | u32::from(flag))
}

fn result(errno: i32) -> Result {
    kernel::error::to_result(errno)
}

impl TestMappings for Maps {
    fn device(&self) -> &BlockDevice {
        &self.device
    }

    fn begin(&self, pos: u64, _len: u64, flags: BeginFlags) -> Result<TestMapping> {
        let mapping = if let Some(plain) = self.plain() {
            plain
        } else {
            self.purpose.store(bits(flags), Relaxed);
            (self.script)(pos, self.index.fetch_add(1, Relaxed))?
        };
        self.open.add(1, Relaxed);
        Ok(mapping)
    }

    fn end(&self, _pos: u64, _len: u64, written: u64) -> Result {
        self.open.add(-1, Relaxed);
        if self.plain().is_some() {
            return Ok(());
        }
        self.processed.add(written, Relaxed);
        result(self.end_error.load(Relaxed))
    }

    fn end_io(&self, pos: u64, size: usize, error: Result, flags: EndIoFlags) -> Result {
        if self.plain().is_some() {
            return error;
        }
        let ret = self.end_io_error.load(Relaxed);
        let index = self.begun.fetch_add(1, Relaxed);
        if let Some(call) = self.calls.get(index) {
            let error = error.map_or_else(Error::to_errno, |()| 0);
            call[0].store(pos, Relaxed);
            call[1].store(size as u64, Relaxed);
            call[2].store(error as u64, Relaxed);
            call[3].store(u64::from(flags.bits()), Relaxed);
        }
        // Calls of one test never run at the same time.
        self.recorded.store(index + 1, Release);
        if self.blocks.load(Relaxed) > 0 {
            self.blocks.add(-1, Relaxed);
            self.is_blocked.complete_all();
            self.may_go_on.wait_for_completion();
            self.end_io_error
                .store(self.later_error.load(Relaxed), Relaxed);
        }
        error.and(result(ret))
    }

    fn sync(&self, io: &MayIo) -> Result {
        self.device.issue_flush(io)
    }
}

/// Returns a mapping of `len` bytes at `offset` to blocks that have data, at the same place of the
/// device.
pub(super) fn mapped(offset: u64, len: u64) -> TestMapping {
    TestMapping {
        kind: TestType::Mapped,
        offset,
        len,
        sector: offset / 512,
        source_len: 0,
        new: false,
        shared: false,
        dirty: false,
        anon_write: false,
    }
}

/// Returns a mapping of all of the file.
pub(super) fn whole(kind: TestType) -> TestMapping {
    TestMapping {
        kind,
        ..mapped(0, 2 * SIZE)
    }
}

/// Returns a mapping of `kind` from `pos` to the end of the block.
pub(super) fn rest_of_block(kind: TestType, pos: u64) -> TestMapping {
    let block = BLOCK as u64;
    TestMapping {
        kind,
        ..mapped(pos / block * block, block)
    }
}

/// The flags of [`Call`].
pub(super) const UNWRITTEN: u32 = EndIoFlags::UNWRITTEN.bits();
pub(super) const COW: u32 = EndIoFlags::COW.bits();

/// A call of `->end_io` without an error.
pub(super) fn ended(pos: u64, size: usize, flags: u32) -> Call {
    Call {
        pos,
        size,
        error: 0,
        flags,
    }
}

/// The file is mapped, block by block.
pub(super) fn blocks(pos: u64, _index: u32) -> Result<TestMapping> {
    Ok(rest_of_block(TestType::Mapped, pos))
}

/// The file is unwritten.
pub(super) fn unwritten(_pos: u64, _index: u32) -> Result<TestMapping> {
    Ok(whole(TestType::Unwritten))
}

/// The file is mapped.
pub(super) fn plain(_pos: u64, _index: u32) -> Result<TestMapping> {
    Ok(whole(TestType::Mapped))
}
