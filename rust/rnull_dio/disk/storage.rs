// SPDX-License-Identifier: GPL-2.0

//! The data and the bad sectors of a disk, in memory.

use core::ops::Range;

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    block::{
        badblocks::BadBlocks,
        mq::{
            Dest,
            Segment,
            Source, //
        },
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

/// The size of a page.
// CAST: From 64 bits to 64.
const PAGE: u64 = PAGE_SIZE as u64;

/// A part of a range that is within a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    index: usize,
    offset: usize,
    len: usize,
}

/// Returns the first piece of the `len` bytes at `pos`.
fn piece(pos: u64, len: usize) -> Piece {
    // CAST: From 64 bits to 64.
    let (index, offset) = ((pos / PAGE) as usize, (pos % PAGE) as usize);
    Piece {
        index,
        offset,
        len: len.min(PAGE_SIZE - offset),
    }
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

    /// Reads from byte `pos` on. Holes read as zeroes. Does not sleep.
    pub(super) fn read<'a>(
        &self,
        mut pos: u64,
        segments: impl Iterator<Item = Segment<'a, Dest>>,
    ) -> Result {
        for segment in segments {
            let mut done = 0;
            while done < segment.len() {
                let at = piece(pos, segment.len() - done);
                let rcu = rcu::read_lock();
                match self.pages.get(at.index, &rcu) {
                    Some(page) => segment.copy_from(done, &page, at.offset, at.len)?,
                    None => segment.zero(done, at.len)?,
                }
                done += at.len;
                // CAST: From 64 bits to 64.
                pos += at.len as u64;
            }
        }
        Ok(())
    }

    /// Writes from byte `pos` on. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`] if there is no page for it.
    pub(super) fn write<'a>(
        &self,
        mut pos: u64,
        segments: impl Iterator<Item = Segment<'a, Source>>,
    ) -> Result {
        for segment in segments {
            let mut done = 0;
            while done < segment.len() {
                let at = piece(pos, segment.len() - done);
                let rcu = rcu::read_lock();
                let Some(page) = self.pages.get(at.index, &rcu) else {
                    drop(rcu);
                    // A discard may erase the page again, so it is looked up once more.
                    self.pages.populate(at.index)?;
                    continue;
                };
                segment.copy_to(done, &page, at.offset, at.len)?;
                done += at.len;
                // CAST: From 64 bits to 64.
                pos += at.len as u64;
            }
        }
        Ok(())
    }

    /// Makes `len` bytes at `pos` zero, and frees the pages that are within. May sleep.
    pub(super) fn zero(&self, pos: u64, len: u64) -> Result {
        let (pages, edges) = split(pos, len);
        self.pages.erase(pages);

        let rcu = rcu::read_lock();
        for at in edges {
            if let Some(page) = self.pages.get(at.index, &rcu) {
                page.zero(at.offset, at.len)?;
            }
        }
        Ok(())
    }

    /// Returns how many pages hold data. Not exact during I/O.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }
}

/// Splits a range into whole pages and a piece at either end, which may be empty.
fn split(pos: u64, len: u64) -> (Range<usize>, [Piece; 2]) {
    let end = pos + len;
    let (first, last) = (pos.div_ceil(PAGE), end / PAGE);
    // CAST: From 64 bits to 64, here and below.
    let (first_page, last_page) = (first as usize, last as usize);
    if first > last {
        // Within a page, and up to neither end of it.
        return (0..0, [piece(pos, len as usize), piece(pos, 0)]);
    }
    let head = piece(pos, (first * PAGE - pos) as usize);
    let tail = piece(last * PAGE, (end - last * PAGE) as usize);
    (first_page..last_page, [head, tail])
}

#[kunit_tests(rnull_dio_disk_storage)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_the_page() {
        for (pos, len, index, offset, piece_len) in [
            (0, 1, 0, 0, 1),
            (0, 2 * PAGE_SIZE, 0, 0, PAGE_SIZE),
            (PAGE - 512, 4096, 0, PAGE_SIZE - 512, 512),
            (PAGE, 512, 1, 0, 512),
            (PAGE + 512, PAGE_SIZE, 1, 512, PAGE_SIZE - 512),
            (5 * PAGE + 1, 0, 5, 1, 0),
        ] {
            let expected = Piece {
                index,
                offset,
                len: piece_len,
            };
            assert_eq!(piece(pos, len), expected);
        }
    }

    #[test]
    fn ranges_split_into_pages_and_edges() {
        for (pos, len, pages, head, tail) in [
            (0, 0, 0..0, 0, 0),
            (0, PAGE, 0..1, 0, 0),
            (PAGE, 3 * PAGE, 1..4, 0, 0),
            (512, 512, 0..0, 512, 0),
            (0, 512, 0..0, 0, 512),
            (PAGE - 512, 512, 1..1, 512, 0),
            (PAGE - 512, 1024, 1..1, 512, 512),
            (512, PAGE, 1..1, PAGE_SIZE - 512, 512),
            (512, 2 * PAGE, 1..2, PAGE_SIZE - 512, 512),
        ] {
            let (found, [first, last]) = split(pos, len);
            assert_eq!(found.is_empty(), pages.is_empty());
            assert!(found.is_empty() || found == pages);
            assert_eq!((first.len, last.len), (head, tail));
        }
    }

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
        storage.zero(512, PAGE - 512)?;
        storage.zero(PAGE, 512)?;
        assert_eq!(storage.pages(), 7);
        storage.zero(PAGE - 512, PAGE + 1024)?;
        assert_eq!(storage.pages(), 6);
        storage.zero(0, PAGE << 21)?;
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
