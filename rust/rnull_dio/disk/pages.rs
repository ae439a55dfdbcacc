// SPDX-License-Identifier: GPL-2.0

//! Pages that data are read from and written to.

use core::ops::Range;

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::rcu, //
};

use kernel_ext::{
    block::mq::{
        Dest,
        Segment,
        Source, //
    },
    page_map::{
        MappedPage,
        PageMap, //
    }, //
};

/// The size of a page.
// CAST: From 64 bits to 64.
pub(super) const PAGE: u64 = PAGE_SIZE as u64;

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

/// Pages by their index, with holes.
pub(super) trait Pages {
    /// Returns the page at `index`, or [`None`] where there is a hole. Does not sleep.
    fn get<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>>;

    /// Makes a page at `index` that can be written to, unless there is one. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    fn fill(&self, index: usize) -> Result;

    /// Returns the page at `index` that is written to, or [`None`] if there is none.
    fn get_for_write<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>>;
}

impl Pages for PageMap {
    #[inline]
    fn get<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        self.get(index, rcu)
    }

    #[inline]
    fn fill(&self, index: usize) -> Result {
        self.populate(index)
    }

    #[inline]
    fn get_for_write<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        self.get(index, rcu)
    }
}

/// Reads from byte `pos` on. Holes read as zeroes. Does not sleep.
#[inline]
pub(super) fn read<'a>(
    pages: &impl Pages,
    mut pos: u64,
    segments: impl Iterator<Item = Segment<'a, Dest>>,
) -> Result {
    for segment in segments {
        let mut done = 0;
        while done < segment.len() {
            let at = piece(pos, segment.len() - done);
            let rcu = rcu::read_lock();
            match pages.get(at.index, &rcu) {
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
#[inline]
pub(super) fn write<'a>(
    pages: &impl Pages,
    mut pos: u64,
    segments: impl Iterator<Item = Segment<'a, Source>>,
) -> Result {
    for segment in segments {
        let mut done = 0;
        while done < segment.len() {
            let at = piece(pos, segment.len() - done);
            let rcu = rcu::read_lock();
            let Some(page) = pages.get_for_write(at.index, &rcu) else {
                drop(rcu);
                // A discard may erase the page again, so it is looked up once more.
                pages.fill(at.index)?;
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
pub(super) fn zero(pages: &PageMap, pos: u64, len: u64) -> Result {
    let (whole, edges) = split(pos, len);
    pages.erase(whole);

    let rcu = rcu::read_lock();
    for at in edges {
        if let Some(page) = pages.get(at.index, &rcu) {
            page.zero(at.offset, at.len)?;
        }
    }
    Ok(())
}

/// Returns the indices of the pages that `len` bytes at `pos` lie in.
pub(super) fn indices(pos: u64, len: u64) -> Range<usize> {
    // CAST: From 64 bits to 64.
    (pos / PAGE) as usize..(pos + len).div_ceil(PAGE) as usize
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

#[kunit_tests(rnull_dio_disk_pages)]
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
    fn ranges_lie_in_pages() {
        for (pos, len, expected) in [
            (0, 0, 0..0),
            (0, 1, 0..1),
            (PAGE - 1, 2, 0..2),
            (PAGE, PAGE, 1..2),
            (PAGE + 512, 2 * PAGE, 1..4),
        ] {
            assert_eq!(indices(pos, len), expected);
        }
    }
}
