// SPDX-License-Identifier: GPL-2.0

//! The data and the bad sectors of a disk, in memory.

use core::ops::Range;

use kernel::prelude::*;

use kernel_ext::{
    block::{
        badblocks::BadBlocks,
        SECTOR_SHIFT, //
    },
    page_map::PageMap, //
};

/// The data and the bad sectors, which are kept from one power-on to the next.
#[pin_data]
pub(crate) struct Storage {
    #[pin]
    pages: PageMap,
    #[pin]
    bad: BadBlocks,
}

impl Storage {
    /// Creates storage without data or bad sectors. May sleep.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            pages <- PageMap::new(),
            bad <- BadBlocks::new(),
        })
    }

    /// Returns the sectors that fail. They may change at any time.
    pub(crate) fn bad(&self) -> &BadBlocks {
        &self.bad
    }

    /// Returns the first range of bad sectors of which one is among those from `sector` on, `bytes`
    /// long, if there is one.
    #[inline]
    pub(super) fn first_bad(&self, sector: u64, bytes: u32) -> Option<Range<u64>> {
        // A disk without bad sectors takes one load.
        if self.bad.is_empty() {
            return None;
        }
        self.bad.first_bad(sector, u64::from(bytes >> SECTOR_SHIFT))
    }

    /// Returns the pages of data.
    #[inline]
    pub(super) fn data(&self) -> &PageMap {
        &self.pages
    }

    /// Returns how many pages hold data. Not exact during I/O.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }
}

#[kunit_tests(rnull_dio_disk_storage)]
mod tests {
    use super::{
        super::pages::{
            self,
            PAGE, //
        },
        *, //
    };
    use kernel::sync::rcu;

    #[test]
    fn pages_come_and_go() -> Result {
        let storage = KBox::try_pin_init(Storage::new(), GFP_KERNEL)?;
        assert_eq!(storage.pages(), 0);
        for index in [0, 1, 2, 63, 64, 1 << 20, 1 << 40] {
            storage.pages.populate(index)?;
            storage.pages.populate(index)?;
        }
        assert_eq!(storage.pages(), 7);
        // Less than a page frees none, whole pages are freed, holes are left alone.
        pages::zero(storage.data(), 512, PAGE - 512)?;
        pages::zero(storage.data(), PAGE, 512)?;
        assert_eq!(storage.pages(), 7);
        pages::zero(storage.data(), PAGE - 512, PAGE + 1024)?;
        assert_eq!(storage.pages(), 6);
        pages::zero(storage.data(), 0, PAGE << 21)?;
        assert_eq!(storage.pages(), 1);
        let rcu = rcu::read_lock();
        assert!(storage.pages.get(0, &rcu).is_none());
        assert!(storage.pages.get(1 << 40, &rcu).is_some());
        Ok(())
    }

    #[test]
    fn bad_sectors_hit() -> Result {
        let storage = KBox::try_pin_init(Storage::new(), GFP_KERNEL)?;
        assert_eq!(storage.first_bad(0, u32::MAX), None);
        storage.bad().set_bad(8..16)?;
        for (sector, bytes, hit) in [
            (0, 8 * 512, false),
            (0, 9 * 512, true),
            (15, 512, true),
            (16, 512, false),
            (8, 0, false),
        ] {
            let expected = hit.then_some(8..16);
            assert_eq!(storage.first_bad(sector, bytes), expected);
        }
        storage.bad().set_good(8..16)?;
        assert!(storage.bad().is_empty());
        Ok(())
    }
}
