// SPDX-License-Identifier: GPL-2.0

//! Zones: parts of a disk that are written from the beginning to the end.
//!
//! C headers: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h),
//! [`include/uapi/linux/blkzoned.h`](srctree/include/uapi/linux/blkzoned.h)

use core::marker::PhantomData;

#[cfg(CONFIG_BLK_DEV_ZONED)]
use kernel::error::to_result;
use kernel::{
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

use crate::{
    bindings,
    compat::error::code::EOPNOTSUPP, //
};

/// What may be done with a zone, `enum blk_zone_cond`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ZoneCondition {
    /// It has no write pointer: it is conventional.
    Conventional = 0x0,
    /// Nothing has been written since the last reset.
    Empty = 0x1,
    /// A write has opened it.
    ImplicitlyOpen = 0x2,
    /// It was opened by request.
    ExplicitlyOpen = 0x3,
    /// It has been written to, and is not open.
    Closed = 0x4,
    /// It can only be read.
    ReadOnly = 0xd,
    /// It is written to the end, or was finished by request.
    Full = 0xe,
    /// It can be neither read nor written.
    Offline = 0xf,
}

/// A zone as it is reported. Numbers are sectors of 512 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Zone {
    /// The first sector.
    pub start: u64,
    /// The length, from the start of a zone to that of the next one.
    pub len: u64,
    /// How many sectors can be written.
    pub capacity: u64,
    /// The write pointer: the sector that the next write must begin with. It means nothing for a zone
    /// that cannot be written to.
    pub write_pointer: u64,
    /// What may be done with the zone.
    pub condition: ZoneCondition,
}

/// Limits of a disk with zones. Numbers of sectors are in units of 512 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneLimits {
    /// The length of each zone, of which the last one may have less: a power of two.
    pub zone_sectors: u32,
    /// How many zones can be open. 0: all of them.
    pub max_open: u32,
    /// How many zones can be open or closed, 0: all of them.
    pub max_active: u32,
    /// Limit of a zone append. 0: the block layer makes writes of them.
    pub max_append_sectors: u32,
}

impl ZoneLimits {
    /// Checks what the block layer would refuse with a warning in the log.
    pub(super) fn check(&self) -> Result {
        let open = self.max_active == 0 || self.max_open <= self.max_active;
        (self.zone_sectors.is_power_of_two() && open)
            .then_some(())
            .ok_or(EINVAL)
    }
}

/// The zones of a disk. They live as long as the last task has the disk open, and longer than the data of
/// its queue.
pub trait ReportZones: Send + Sync + 'static {
    /// Reports zones in their order, beginning with the one that has `sector`, until there is no other or
    /// [`ZoneReport::is_full`]. May sleep, and may be called while the disk is being removed.
    ///
    /// # Errors
    ///
    /// Those of [`ZoneReport::add`].
    fn report(&self, sector: u64, report: &mut ZoneReport<'_>) -> Result;
}

/// No zones.
pub enum NoZones {}

impl ReportZones for NoZones {
    fn report(&self, _sector: u64, _report: &mut ZoneReport<'_>) -> Result {
        match *self {}
    }
}

/// A report of zones that is being made.
///
/// # Invariants
///
/// `self.disk` and `self.args` are those of a call of `report_zones()` that has not returned.
pub struct ZoneReport<'a> {
    disk: *mut bindings::gendisk,
    args: *mut bindings::blk_report_zones_args,
    reported: u32,
    limit: u32,
    _p: PhantomData<&'a mut ()>,
}

impl ZoneReport<'_> {
    /// Returns whether no more zones are wanted.
    pub fn is_full(&self) -> bool {
        self.reported >= self.limit
    }

    /// Adds a zone. May sleep.
    ///
    /// # Errors
    ///
    /// - [`ENOSPC`] if the report is full.
    /// - That of the receiver, such as [`EFAULT`] for memory of a user.
    #[cfg(CONFIG_BLK_DEV_ZONED)]
    pub fn add(&mut self, zone: &Zone) -> Result {
        // Receivers have room for no more.
        if self.is_full() {
            return Err(ENOSPC);
        }
        let kind = match zone.condition {
            ZoneCondition::Conventional => bindings::blk_zone_type_BLK_ZONE_TYPE_CONVENTIONAL,
            _ => bindings::blk_zone_type_BLK_ZONE_TYPE_SEQWRITE_REQ,
        };
        let mut zone = bindings::blk_zone {
            start: zone.start,
            len: zone.len,
            wp: zone.write_pointer,
            // CAST: 1 or 2.
            type_: kind as u8,
            // CAST: Its representation.
            cond: zone.condition as u8,
            capacity: zone.capacity,
            ..pin_init::zeroed()
        };
        // SAFETY: By the type invariant; the zone is valid for the call, which may change it.
        to_result(unsafe {
            bindings::disk_report_zone(self.disk, &mut zone, self.reported, self.args)
        })?;
        self.reported += 1;
        Ok(())
    }

    /// Fails, because this kernel has no zones.
    ///
    /// # Errors
    ///
    /// [`EOPNOTSUPP`].
    #[cfg(not(CONFIG_BLK_DEV_ZONED))]
    pub fn add(&mut self, _zone: &Zone) -> Result {
        let _ = (self.disk, self.args);
        Err(EOPNOTSUPP)
    }
}

/// The C callbacks of disks with zones.
pub(super) struct ZoneCallbacks<Z>(PhantomData<Z>);

#[cfg(CONFIG_BLK_DEV_ZONED)]
impl<Z: ReportZones> ZoneCallbacks<Z> {
    /// # Safety
    ///
    /// Only the block layer may call this, for a disk whose private data are NULL or come from
    /// [`give`].
    pub(super) unsafe extern "C" fn report_zones(
        disk: *mut bindings::gendisk,
        sector: bindings::sector_t,
        nr_zones: c_uint,
        args: *mut bindings::blk_report_zones_args,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function the disk is valid.
        let data = unsafe { (*disk).private_data };
        if data.is_null() {
            return EOPNOTSUPP.to_errno();
        }
        // SAFETY: The private data come from `give()`, and are dropped by `free_disk()`, which
        // follows the last user of the disk.
        let zones = unsafe { Arc::<Z>::borrow(data) };
        // INVARIANT: The report is gone when this call returns.
        let mut report = ZoneReport {
            disk,
            args,
            reported: 0,
            limit: nr_zones.min(c_int::MAX.unsigned_abs()),
            _p: PhantomData,
        };
        match zones.report(sector, &mut report) {
            // CAST: The limit is that of a `c_int`.
            Ok(()) => report.reported as c_int,
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Only the block layer may call this, once, when nothing uses the disk any more. The private data
    /// are NULL or come from [`give`].
    pub(super) unsafe extern "C" fn free_disk(disk: *mut bindings::gendisk) {
        // SAFETY: By the safety requirements of this function.
        unsafe { take::<Z>(disk) };
    }
}

/// Makes `zones` the private data of a disk, and has the block layer read them. May sleep.
///
/// # Safety
///
/// `disk` must be valid, have no private data and the limits and callbacks of a disk with zones, and not
/// be in the system.
pub(super) unsafe fn give<Z: ReportZones>(disk: *mut bindings::gendisk, zones: Arc<Z>) -> Result {
    // SAFETY: By the safety requirements of this function.
    unsafe { (*disk).private_data = zones.into_foreign() };
    #[cfg(CONFIG_BLK_DEV_ZONED)]
    // SAFETY: As above.
    to_result(unsafe { bindings::blk_revalidate_disk_zones(disk) })?;
    Ok(())
}

/// Drops the private data of a disk, if it has any.
///
/// # Safety
///
/// The private data of `disk` must be NULL or come from [`give`] with the same type. Nothing may use them
/// any more.
pub(super) unsafe fn take<Z: ReportZones>(disk: *mut bindings::gendisk) {
    // SAFETY: By the safety requirements of this function.
    let data = unsafe { core::mem::replace(&mut (*disk).private_data, core::ptr::null_mut()) };
    if !data.is_null() {
        // SAFETY: As above.
        drop(unsafe { Arc::<Z>::from_foreign(data) });
    }
}
