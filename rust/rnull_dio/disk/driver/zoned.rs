// SPDX-License-Identifier: GPL-2.0

//! How a request to a disk with zones is processed.

use kernel::prelude::*;

use kernel_ext::block::{
    mq::{
        Command,
        Request,
        ZoneCondition, //
    },
    BlkError,
    BlkResult,
    SECTOR_SHIFT, //
};

use super::{
    super::zones::Zones,
    transfer::to_blk_error,
    NullDisk,
    QueueData, //
};

impl QueueData {
    /// Carries out a request to a disk with zones.
    pub(super) fn transfer_zoned(&self, zones: &Zones, rq: &mut Request<NullDisk>) -> BlkResult {
        let sector = rq.sector();
        match rq.command() {
            Command::Flush => Ok(()),
            Command::Read => self.read_zone(zones, rq),
            command @ (Command::Write | Command::ZoneAppend) => {
                self.write_zone(zones, rq, command == Command::ZoneAppend)
            }
            Command::ZoneOpen => zones.open(sector),
            Command::ZoneClose => zones.close(sector),
            Command::ZoneFinish => zones.finish(sector),
            Command::ZoneReset => self.reset_zone(zones, sector),
            Command::ZoneResetAll => {
                self.reset_zones(zones);
                Ok(())
            }
            Command::Discard | Command::WriteZeroes | Command::SecureErase | Command::Other(_) => {
                Err(BlkError::NOTSUPP)
            }
        }
    }

    fn read_zone(&self, zones: &Zones, rq: &Request<NullDisk>) -> BlkResult {
        let readable = zones.readable(rq.sector(), rq.bytes() >> SECTOR_SHIFT)? << SECTOR_SHIFT;
        if readable < rq.bytes() {
            self.read_behind(rq, readable)
        } else {
            Ok(self.transfer_at(rq, rq.sector())?)
        }
    }

    /// Reads data from a zone, of which there are `readable` bytes, and zeroes behind its write pointer.
    fn read_behind(&self, rq: &Request<NullDisk>, readable: u32) -> BlkResult {
        if let Some(bad) = self.medium.storage().first_bad(rq.sector(), rq.bytes()) {
            let failure = self.hit(rq, rq.sector(), bad);
            if self.memory_backed {
                zero_from(rq, readable).map_err(to_blk_error)?;
            }
            return Err(failure.into());
        }
        if self.memory_backed {
            self.copy_first(rq, rq.sector(), readable)
                .and_then(|()| zero_from(rq, readable))
                .map_err(to_blk_error)?;
        }
        Ok(())
    }

    #[inline]
    fn write_zone(&self, zones: &Zones, rq: &mut Request<NullDisk>, append: bool) -> BlkResult {
        if self.memory_backed {
            self.write_data(zones, rq, append)
        } else {
            self.write_nothing(zones, rq, append)
        }
    }

    /// Writes the data of a request.
    fn write_data(&self, zones: &Zones, rq: &mut Request<NullDisk>, append: bool) -> BlkResult {
        let sectors = rq.bytes() >> SECTOR_SHIFT;
        let sector = zones.begin_write(rq.sector(), sectors, append)?;
        let result = self.transfer_at(rq, sector);
        let done = match &result {
            Ok(()) => sectors,
            Err(failure) => failure.done >> SECTOR_SHIFT,
        };
        zones.end_write(sector, sectors, done);
        if append {
            rq.set_sector(sector);
        }
        Ok(result?)
    }

    /// Moves the write pointer only, as there is no memory. Looks for bad sectors before, so that it does
    /// not have to go back, which it must not if the zone has been reset meanwhile.
    #[inline]
    fn write_nothing(&self, zones: &Zones, rq: &mut Request<NullDisk>, append: bool) -> BlkResult {
        let sectors = rq.bytes() >> SECTOR_SHIFT;
        let mut bad = None;
        let sector = zones.write(rq.sector(), sectors, append, |sector| {
            bad = self.medium.storage().first_bad(sector, rq.bytes());
            match &bad {
                None => sectors,
                Some(bad) => self.bytes_before(sector, bad) >> SECTOR_SHIFT,
            }
        })?;
        if append {
            rq.set_sector(sector);
        }
        match bad {
            None => Ok(()),
            Some(bad) => Err(self.hit(rq, sector, bad).into()),
        }
    }

    /// Resets all zones but those that are read-only or offline.
    fn reset_zones(&self, zones: &Zones) {
        let is_reset = |&sector: &u64| zones.condition(sector).is_some_and(is_reset_with_all);
        for sector in zones.starts().filter(is_reset) {
            // Fails if the zone has become read-only or gone offline meanwhile.
            let _ = self.reset_zone(zones, sector);
        }
    }

    /// Frees the data of a zone, and makes it empty. Without memory, this does not sleep.
    fn reset_zone(&self, zones: &Zones, sector: u64) -> BlkResult {
        use ZoneCondition::*;
        if !self.memory_backed {
            return zones.reset(sector);
        }
        // No data are written in between, nor are those of a write that has begun before.
        let _held = zones.hold(sector)?;
        if matches!(zones.condition(sector), None | Some(ReadOnly | Offline)) {
            return Err(BlkError::IOERR);
        }
        let (start, len) = zones.range(sector);
        self.medium
            .zero(start << SECTOR_SHIFT, len << SECTOR_SHIFT)
            .map_err(to_blk_error)?;
        zones.reset(sector)
    }
}

/// Returns whether a reset of all zones resets one in this condition.
fn is_reset_with_all(condition: ZoneCondition) -> bool {
    use ZoneCondition::*;
    !matches!(condition, Conventional | Empty | ReadOnly | Offline)
}

/// Writes zeroes to the memory of a read from byte `first` on.
fn zero_from(rq: &Request<NullDisk>, first: u32) -> Result {
    // CAST: From 32 bits to 64.
    let first = first as usize;
    let mut pos = 0;
    for segment in rq.dest() {
        let skipped = first.saturating_sub(pos).min(segment.len());
        segment.zero(skipped, segment.len() - skipped)?;
        pos += segment.len();
    }
    Ok(())
}
