// SPDX-License-Identifier: GPL-2.0

//! How a request is processed: what is copied from and to the medium.

use core::ops::Range;

use kernel::prelude::*;

use kernel_ext::block::{
    mq::{
        Command,
        Request, //
    },
    BlkError,
    BlkResult,
    SECTOR_SHIFT, //
};

use super::{
    super::counters::Counter,
    NullDisk,
    QueueData, //
};

impl QueueData {
    /// Carries out the request, and returns what it has to end with.
    #[inline]
    pub(super) fn process(&self, rq: &mut Request<NullDisk>) -> BlkResult {
        let result = self.transfer(rq);
        if result.is_err() {
            self.counters.inc(Counter::Error);
        }
        result
    }

    #[inline]
    fn transfer(&self, rq: &mut Request<NullDisk>) -> BlkResult {
        if let Some(zones) = &self.zones {
            return self.transfer_zoned(zones, rq);
        }
        match rq.command() {
            Command::Flush => self.medium.flush().map_err(to_blk_error),
            Command::Read | Command::Write | Command::Discard | Command::WriteZeroes => {
                Ok(self.transfer_at(rq, rq.sector())?)
            }
            _ => Err(BlkError::NOTSUPP),
        }
    }

    /// Carries out a request with sectors, at `sector`, which may be another one than its own.
    #[inline]
    pub(super) fn transfer_at(&self, rq: &Request<NullDisk>, sector: u64) -> Result<(), Failure> {
        if let Some(bad) = self.medium.storage().first_bad(sector, rq.bytes()) {
            return Err(self.hit(rq, sector, bad));
        }
        // Otherwise a read leaves the memory of the reader as it is, as in null_blk.
        if self.memory_backed {
            self.copy(rq, sector).map_err(to_blk_error)?;
        }
        Ok(())
    }

    fn copy(&self, rq: &Request<NullDisk>, sector: u64) -> Result {
        let (pos, len) = (sector << SECTOR_SHIFT, u64::from(rq.bytes()));
        match rq.command() {
            Command::Read => self.medium.read(pos, rq.dest()),
            Command::Write | Command::ZoneAppend => {
                self.medium.write(pos, len, rq.source(), rq.is_fua())
            }
            _ => self.medium.zero(pos, len),
        }
    }

    /// Carries out what a request with bad sectors does before it fails. Returns the error.
    #[cold]
    pub(super) fn hit(&self, rq: &Request<NullDisk>, sector: u64, bad: Range<u64>) -> Failure {
        let done = self.bytes_before(sector, &bad);
        let mut failure = Failure {
            error: BlkError::IOERR,
            done,
        };
        if done > 0 && self.memory_backed {
            if let Err(err) = self.copy_first(rq, sector, done) {
                failure = to_blk_error(err).into();
            }
        }
        if self.badblocks_once {
            // Fails only if the set is full and has changed meanwhile, so that the range is a part
            // of another one.
            let _ = self.medium.storage().bad().set_good(bad);
        }
        failure
    }

    /// Returns how many bytes from `sector` on a request transfers before it fails because of sectors that
    /// are bad.
    pub(super) fn bytes_before(&self, sector: u64, bad: &Range<u64>) -> u32 {
        if !self.badblocks_partial_io {
            return 0;
        }
        let sectors = bad.start.saturating_sub(sector);
        // The whole blocks that lie before.
        // CAST: A request has less than 4 GiB.
        (sectors << SECTOR_SHIFT) as u32 & self.blocksize.wrapping_neg()
    }

    /// Carries out the first `bytes` of a request, of which it has more.
    pub(super) fn copy_first(&self, rq: &Request<NullDisk>, sector: u64, bytes: u32) -> Result {
        let pos = sector << SECTOR_SHIFT;
        // CAST: From 32 bits to 64.
        let first = bytes as usize;
        match rq.command() {
            Command::Read => self.medium.read(pos, rq.dest().up_to(first)),
            Command::Write | Command::ZoneAppend => {
                let source = rq.source().up_to(first);
                self.medium.write(pos, bytes.into(), source, rq.is_fua())
            }
            _ => self.medium.zero(pos, bytes.into()),
        }
    }
}

/// Why a transfer failed, and what had been transferred.
pub(super) struct Failure {
    error: BlkError,
    /// In bytes.
    pub(super) done: u32,
}

impl From<BlkError> for Failure {
    fn from(error: BlkError) -> Self {
        Self { error, done: 0 }
    }
}

impl From<Failure> for BlkError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

pub(super) fn to_blk_error(error: Error) -> BlkError {
    if error == ENOMEM {
        // As in null_blk: a sparse device that cannot grow.
        BlkError::NOSPC
    } else {
        BlkError::IOERR
    }
}
