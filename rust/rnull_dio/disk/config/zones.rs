// SPDX-License-Identifier: GPL-2.0

//! What the attributes of zones mean together.

use kernel::prelude::*;

use kernel_ext::block::SECTOR_SHIFT;

use super::{
    super::{
        attributes::MAX_ZONES,
        zones::Layout, //
    },
    Attribute,
    Config,
    Conflict, //
};

/// The binary logarithm of the sectors in a MiB.
const MIB_SHIFT: u32 = 20 - SECTOR_SHIFT;

impl Config {
    /// Checks the attributes of zones against each other and the others.
    pub(super) fn check_zones(&self) -> Result<(), Conflict> {
        if let Some(reason) = self.not_with_zones() {
            let attribute = Attribute::zoned;
            return Err(Conflict { attribute, reason });
        }
        let conflicts = [
            (
                !cfg!(CONFIG_BLK_DEV_ZONED),
                Attribute::zoned,
                "needs a kernel with CONFIG_BLK_DEV_ZONED",
            ),
            (
                self.zone_size > self.disk_mib(),
                Attribute::zone_size,
                "is more than the size",
            ),
            (
                self.zones() > MAX_ZONES,
                Attribute::zone_size,
                "makes more than 16777216 zones",
            ),
            (
                self.zone_capacity > self.zone_size,
                Attribute::zone_capacity,
                "is more than zone_size",
            ),
            (
                self.capacity_mib() < self.zone_size && self.disk_mib() % self.zone_size != 0,
                Attribute::zone_capacity,
                "needs a size that is a multiple of zone_size",
            ),
            (
                u64::from(self.zone_nr_conv) >= self.zones(),
                Attribute::zone_nr_conv,
                "leaves no other zone",
            ),
            (
                self.zone_max_active > 0 && self.zone_max_open > self.zone_max_active,
                Attribute::zone_max_open,
                "is more than zone_max_active",
            ),
        ];
        Conflict::first(conflicts)
    }

    /// Returns why the disk cannot be zoned because of another attribute, if so.
    fn not_with_zones(&self) -> Option<&'static str> {
        if self.backing_file.get().is_some() {
            Some("does not go with backing_file")
        } else if self.cache_size > 0 {
            Some("does not go with cache_size")
        } else if self.discard {
            Some("does not go with discard")
        } else {
            None
        }
    }

    /// Returns how the disk is divided into zones, if it is. [`Self::check`] must have passed.
    pub(in crate::disk) fn zone_layout(&self) -> Option<Layout> {
        if !self.zoned {
            return None;
        }
        // CAST: The limits of the attributes leave it within 32 bits.
        let sectors = |mib: u64| (mib << MIB_SHIFT) as u32;
        let capacity = sectors(self.capacity_mib());
        let others = self.zones() - u64::from(self.zone_nr_conv);
        // One that cannot be reached is none.
        let limit = |limit: u32| if u64::from(limit) < others { limit } else { 0 };
        let block_sectors = self.blocksize >> SECTOR_SHIFT;
        Some(Layout {
            disk: self.disk_mib() << MIB_SHIFT,
            zone: sectors(self.zone_size),
            capacity,
            conventional: self.zone_nr_conv,
            full: self.zone_full,
            max_open: limit(self.zone_max_open),
            max_active: limit(self.zone_max_active),
            max_append: (self.zone_append_max_sectors / block_sectors * block_sectors)
                .min(capacity),
        })
    }

    fn disk_mib(&self) -> u64 {
        self.bytes().unwrap_or(0) >> 20
    }

    fn capacity_mib(&self) -> u64 {
        match self.zone_capacity {
            0 => self.zone_size,
            mib => mib,
        }
    }

    fn zones(&self) -> u64 {
        self.disk_mib().div_ceil(self.zone_size)
    }
}
