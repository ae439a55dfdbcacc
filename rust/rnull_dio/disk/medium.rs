// SPDX-License-Identifier: GPL-2.0

//! What the requests of a disk read and write: its data, by its cache if it has one.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::block::mq::{
    Dest,
    Segment,
    Source, //
};

use super::{
    cache::Cache,
    pages,
    Config,
    Storage, //
};

/// The data of a disk that is on, and its cache.
///
/// The methods may sleep. Errors are [`ENOMEM`].
pub(super) struct Medium {
    storage: Arc<Storage>,
    cache: Option<Pin<KBox<Cache>>>,
}

impl Medium {
    /// Creates a medium with an empty cache.
    pub(super) fn new(config: &Config, storage: Arc<Storage>) -> Result<Self> {
        let cache = match config.cache_pages() {
            0 => None,
            limit => {
                let cache = Cache::new(storage.clone(), limit);
                Some(KBox::pin_init(cache, GFP_KERNEL)?)
            }
        };
        Ok(Self { storage, cache })
    }

    /// Returns the data and the bad sectors.
    #[inline]
    pub(super) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Returns whether the medium has a cache.
    pub(super) fn is_volatile(&self) -> bool {
        self.cache.is_some()
    }

    /// Returns how many pages the cache has.
    pub(super) fn cached_pages(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.len())
    }

    /// Reads from byte `pos` on.
    #[inline]
    pub(super) fn read<'a>(
        &self,
        pos: u64,
        segments: impl Iterator<Item = Segment<'a, Dest>>,
    ) -> Result {
        match &self.cache {
            None => pages::read(self.storage.data(), pos, segments),
            Some(cache) => cache.read(pos, segments),
        }
    }

    /// Writes `len` bytes from `pos` on; if `through`, not to the cache only.
    #[inline]
    pub(super) fn write<'a>(
        &self,
        pos: u64,
        len: u64,
        segments: impl Iterator<Item = Segment<'a, Source>>,
        through: bool,
    ) -> Result {
        match &self.cache {
            None => pages::write(self.storage.data(), pos, segments),
            Some(cache) => cache.write(pos, len, segments, through),
        }
    }

    /// Makes `len` bytes at `pos` zero.
    pub(super) fn zero(&self, pos: u64, len: u64) -> Result {
        match &self.cache {
            None => pages::zero(self.storage.data(), pos, len),
            Some(cache) => cache.zero(pos, len),
        }
    }

    /// Makes what was written durable.
    pub(super) fn flush(&self) -> Result {
        // Without a cache, the data are where they stay.
        self.cache.as_ref().map_or(Ok(()), |cache| cache.flush())
    }
}
