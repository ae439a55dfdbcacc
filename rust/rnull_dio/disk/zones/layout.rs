// SPDX-License-Identifier: GPL-2.0

//! Where the zones of a disk are.

use kernel::prelude::*;

use kernel_ext::block::mq::ZoneLimits;

/// How a disk is divided into zones. Lengths are sectors of 512 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Layout {
    /// The sectors of the disk.
    pub(in super::super) disk: u64,
    /// The sectors of each zone but the last, which may have less: a power of two.
    pub(in super::super) zone: u32,
    /// How many sectors of a zone can be written.
    pub(in super::super) capacity: u32,
    /// How many zones at the beginning of the disk are conventional.
    pub(in super::super) conventional: u32,
    /// Whether the other zones are full at first.
    pub(in super::super) full: bool,
    /// How many zones can be open. 0: all of them.
    pub(in super::super) max_open: u32,
    /// How many zones can be open or closed. 0: all of them.
    pub(in super::super) max_active: u32,
    /// Limit of a zone append. 0: the block layer makes writes of them.
    pub(in super::super) max_append: u32,
}

impl Layout {
    /// Returns the limits for the block layer.
    pub(in super::super) fn limits(&self) -> ZoneLimits {
        ZoneLimits {
            zone_sectors: self.zone,
            max_open: self.max_open,
            max_active: self.max_active,
            max_append_sectors: self.max_append,
        }
    }

    /// Returns the number of zones.
    pub(in super::super) fn zones(&self) -> u64 {
        self.disk.div_ceil(self.zone.into())
    }

    /// Returns the number and the offset in the zone of a sector.
    #[inline]
    pub(super) fn locate(&self, sector: u64) -> (usize, u32) {
        // CAST: From 64 bits to 64, and the offset is less than the 32 bits of a zone.
        let zone = (sector >> self.zone.trailing_zeros()) as usize;
        (zone, sector as u32 & (self.zone - 1))
    }

    /// Returns the first sector of a zone.
    #[inline]
    pub(super) fn start(&self, zone: usize) -> u64 {
        // CAST: From 64 bits to 64.
        zone as u64 * u64::from(self.zone)
    }

    /// Returns the length of a zone.
    pub(super) fn len(&self, zone: usize) -> u64 {
        u64::from(self.zone).min(self.disk - self.start(zone))
    }

    /// Returns how many sectors of a zone that is not conventional can be written.
    #[inline]
    pub(super) fn capacity(&self, zone: usize) -> u32 {
        self.capacity_from(self.start(zone))
    }

    /// Returns the same of the zone with this first sector.
    #[inline]
    pub(super) fn capacity_from(&self, start: u64) -> u32 {
        // CAST: At most the 32 bits of the capacity.
        u64::from(self.capacity).min(self.disk - start) as u32
    }
}

#[kunit_tests(rnull_dio_disk_zone_layout)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_in_zones() {
        let layout = Layout {
            disk: 5 << 20,
            zone: 1 << 21,
            capacity: 3 << 19,
            conventional: 1,
            full: false,
            max_open: 0,
            max_active: 0,
            max_append: 0,
        };
        assert_eq!(layout.zones(), 3);
        for (sector, zone, offset) in [
            (0, 0, 0),
            ((1 << 21) - 1, 0, (1 << 21) - 1),
            (1 << 21, 1, 0),
            ((1 << 22) + 8, 2, 8),
            (1 << 40, 1 << 19, 0),
        ] {
            assert_eq!(layout.locate(sector), (zone, offset));
            assert_eq!(layout.start(zone), sector - u64::from(offset));
        }
        assert_eq!((layout.len(1), layout.capacity(1)), (1 << 21, 3 << 19));
        assert_eq!((layout.len(2), layout.capacity(2)), (1 << 20, 1 << 20));
    }
}
