// SPDX-License-Identifier: GPL-2.0

//! A volatile write cache in front of the data.
//!
//! A page of the cache has the newest data of all its bytes, also of those that were not written. A
//! flush copies the pages of the cache to the data.
//!
//! A block may have several pages. A power cut does not leave a part of a block: requests are whole
//! blocks, and so is the room of the cache, so that the pages of a block come and go one after the other,
//! all of them before the lock is given up. Only if memory runs out, a part may be written back.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu,
        Arc,
        Mutex, //
    }, //
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

use super::{
    pages::{
        self,
        Pages, //
    },
    Storage, //
};

/// A write cache. What it has not written back is lost when it is dropped.
///
/// All methods but [`Self::len`] may sleep.
#[pin_data]
pub(super) struct Cache {
    /// Held by all I/O: a page must not change while it is copied, and is looked for in two places.
    #[pin]
    lock: Mutex<()>,
    #[pin]
    layers: Layers,
}

/// The pages of a cache, and those behind it. For the holder of the lock.
#[pin_data]
struct Layers {
    #[pin]
    cached: PageMap,
    storage: Arc<Storage>,
    /// The number of pages that the cache has room for: that of whole blocks, even of the largest.
    limit: usize,
    /// Where to look for the next page that is written back to make room.
    next: Atomic<usize>,
}

impl Cache {
    /// Creates an empty cache in front of `storage`, with room for `limit` pages, at least one.
    pub(super) fn new(storage: Arc<Storage>, limit: usize) -> impl PinInit<Self> {
        let layers = pin_init!(Layers {
            cached <- PageMap::new(),
            storage,
            limit,
            next: Atomic::new(0),
        });
        pin_init!(Self {
            lock <- new_mutex!((), "rnull_dio_cache"),
            layers <- layers,
        })
    }

    /// Returns how many pages there are. Not exact during I/O. Any context.
    pub(super) fn len(&self) -> usize {
        self.layers.cached.len()
    }

    /// Reads from byte `pos` on.
    pub(super) fn read<'a>(
        &self,
        pos: u64,
        segments: impl Iterator<Item = Segment<'a, Dest>>,
    ) -> Result {
        let _guard = self.lock.lock();
        pages::read(&self.layers, pos, segments)
    }

    /// Writes `len` bytes from `pos` on; if `through`, to the data.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(super) fn write<'a>(
        &self,
        pos: u64,
        len: u64,
        segments: impl Iterator<Item = Segment<'a, Source>>,
        through: bool,
    ) -> Result {
        let _guard = self.lock.lock();
        pages::write(&self.layers, pos, segments)?;
        if through {
            for index in pages::indices(pos, len) {
                self.layers.write_back(index)?;
            }
        }
        Ok(())
    }

    /// Makes `len` bytes at `pos` zero, in the cache and in the data.
    pub(super) fn zero(&self, pos: u64, len: u64) -> Result {
        let _guard = self.lock.lock();
        pages::zero(&self.layers.cached, pos, len)?;
        pages::zero(self.layers.storage.data(), pos, len)
    }

    /// Writes all pages back.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`]. Some pages are still in the cache.
    pub(super) fn flush(&self) -> Result {
        let _guard = self.lock.lock();
        while let Some(index) = self.layers.cached.first_from(0) {
            self.layers.write_back(index)?;
        }
        Ok(())
    }
}

impl Layers {
    /// Writes a page back, if it is in the cache, and removes it from there.
    fn write_back(&self, index: usize) -> Result {
        if copy_page(&self.cached, self.storage.data(), index)? {
            self.cached.erase(index..index + 1);
        }
        Ok(())
    }

    /// Writes pages back until there is room for one.
    fn make_room(&self) -> Result {
        while self.cached.len() >= self.limit {
            let next = self.next.load(Relaxed);
            let first = || self.cached.first_from(0);
            let Some(index) = self.cached.first_from(next).or_else(first) else {
                break;
            };
            self.write_back(index)?;
            self.next.store(index + 1, Relaxed);
        }
        Ok(())
    }
}

impl Pages for Layers {
    fn get<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        let behind = || self.storage.data().get(index, rcu);
        self.cached.get(index, rcu).or_else(behind)
    }

    fn get_for_write<'a>(&'a self, index: usize, rcu: &'a rcu::Guard) -> Option<MappedPage<'a>> {
        self.cached.get(index, rcu)
    }

    fn fill(&self, index: usize) -> Result {
        self.make_room()?;
        self.cached.populate(index)?;
        // No I/O has seen the page, because the lock is held.
        let rcu = rcu::read_lock();
        if let (Some(page), Some(old)) = (
            self.cached.get(index, &rcu),
            self.storage.data().get(index, &rcu),
        ) {
            page.copy_from(&old);
        }
        Ok(())
    }
}

/// Copies the page at `index` of a map to another one. Returns whether there is such a page.
fn copy_page(from: &PageMap, to: &PageMap, index: usize) -> Result<bool> {
    let has_page = |map: &PageMap| map.get(index, &rcu::read_lock()).is_some();
    if !has_page(from) {
        return Ok(false);
    }
    // Not always, because it allocates a page.
    if !has_page(to) {
        to.populate(index)?;
    }
    let rcu = rcu::read_lock();
    if let (Some(page), Some(copy)) = (from.get(index, &rcu), to.get(index, &rcu)) {
        copy.copy_from(&page);
    }
    Ok(true)
}

#[kunit_tests(rnull_dio_disk_cache)]
mod tests {
    use super::*;

    /// Returns an empty cache with room for three pages, and what is behind it.
    fn cache() -> Result<(Pin<KBox<Cache>>, Arc<Storage>)> {
        let storage = Arc::pin_init(Storage::new(), GFP_KERNEL)?;
        let cache = KBox::pin_init(Cache::new(storage.clone(), 3), GFP_KERNEL)?;
        Ok((cache, storage))
    }

    #[test]
    fn a_full_cache_writes_pages_back() -> Result {
        let (cache, storage) = cache()?;
        for index in [5, 1, 3] {
            cache.layers.fill(index)?;
        }
        assert_eq!((cache.len(), storage.pages()), (3, 0));
        for (index, written_back) in [(7, 1), (2, 3), (9, 5), (4, 7), (1, 9)] {
            cache.layers.fill(index)?;
            assert_eq!(cache.len(), 3);
            let rcu = rcu::read_lock();
            assert!(storage.data().get(written_back, &rcu).is_some());
            assert!(cache.layers.get_for_write(written_back, &rcu).is_none());
        }
        Ok(())
    }

    #[test]
    fn a_flush_leaves_nothing() -> Result {
        let (cache, storage) = cache()?;
        for index in [0, 1, usize::MAX >> 12] {
            cache.layers.fill(index)?;
        }
        cache.flush()?;
        assert_eq!((cache.len(), storage.pages()), (0, 3));
        cache.flush()?;
        assert_eq!((cache.len(), storage.pages()), (0, 3));
        Ok(())
    }

    #[test]
    fn zeroes_are_in_both() -> Result {
        let (cache, storage) = cache()?;
        cache.layers.fill(0)?;
        cache.flush()?;
        cache.layers.fill(0)?;
        assert_eq!((cache.len(), storage.pages()), (1, 1));
        cache.zero(0, 4096)?;
        assert_eq!((cache.len(), storage.pages()), (0, 0));
        Ok(())
    }
}
