// SPDX-License-Identifier: GPL-2.0

//! What the attributes of a disk mean together.

mod zones;

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*, //
};

use kernel_ext::{
    block::{
        mq::QueueCounts,
        MAX_BLOCK_SIZE,
        SECTOR_SHIFT, //
    },
    numa::online_nodes, //
};

use super::{
    attributes::{
        Attribute,
        Config,
        MAX_REQUEST_SECTORS, //
    },
    value::IrqMode, //
};

/// What a `size` of 0 means without a file.
const DEFAULT_SIZE_MIB: u64 = 4096;

/// How long a request is transferred at most, because power-off waits for it.
const MAX_TRANSFER_SECS: u64 = 10;

/// Why a [`Config`] cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Conflict {
    pub(super) attribute: Attribute,
    reason: &'static str,
}

impl Conflict {
    /// Returns the first conflict of those that there may be, if there is one.
    fn first<const N: usize>(conflicts: [(bool, Attribute, &'static str); N]) -> Result<(), Self> {
        match conflicts.into_iter().find(|&(is_one, _, _)| is_one) {
            Some((_, attribute, reason)) => Err(Self { attribute, reason }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_fmt(fmt!("{} {}", self.attribute, self.reason))
    }
}

impl Config {
    /// Checks the attributes by themselves and against each other, before a disk is made.
    pub(crate) fn check(&self) -> Result<(), Conflict> {
        if let Some(attribute) = self.beyond_limits() {
            return Err(Conflict {
                attribute,
                reason: "is beyond its limits",
            });
        }
        if self.backing_file.get().is_some() {
            if let Some(attribute) = self.not_with_file() {
                return Err(Conflict {
                    attribute,
                    reason: "does not go with backing_file",
                });
            }
        }
        if self.polls_a_file() && !self.direct_io {
            return Err(Conflict {
                attribute: Attribute::poll_queues,
                reason: "needs direct_io with backing_file",
            });
        }
        if self.zoned {
            self.check_zones()?;
        }
        let conflicts = [
            (
                self.blocksize > MAX_BLOCK_SIZE,
                Attribute::blocksize,
                "is more than a page, which needs a kernel with CONFIG_TRANSPARENT_HUGEPAGE",
            ),
            (
                self.request_sectors() < self.blocksize >> SECTOR_SHIFT,
                Attribute::max_sectors,
                "is less than blocksize",
            ),
            (
                self.cache_size > 0 && !self.memory_backed,
                Attribute::cache_size,
                "needs memory_backed",
            ),
        ];
        Conflict::first(conflicts)
    }

    /// Checks whether `attribute` can get the value that it has in `self`, while the disk is on with
    /// that in `before`.
    pub(super) fn check_change(&self, attribute: Attribute, before: &Self) -> Result<(), Conflict> {
        let reason = if self.shared_tags {
            "cannot be changed with shared_tags while the device is on"
        } else if self.use_per_node_hctx && attribute == Attribute::submit_queues {
            "is not used with use_per_node_hctx"
        } else if self.polls_a_file() && !before.polls_a_file() {
            "cannot be changed from 0 with backing_file while the device is on"
        } else {
            return self.check();
        };
        Err(Conflict { attribute, reason })
    }

    /// Returns an attribute that is set and means nothing for a disk with a file, if there is one.
    fn not_with_file(&self) -> Option<Attribute> {
        [
            (self.memory_backed, Attribute::memory_backed),
            (self.cache_size > 0, Attribute::cache_size),
            (self.mbps > 0, Attribute::mbps),
            (self.irqmode != IrqMode::None, Attribute::irqmode),
            (self.shared_tags, Attribute::shared_tags),
            (self.badblocks_partial_io, Attribute::badblocks_partial_io),
        ]
        .into_iter()
        .find_map(|(is_set, attribute)| is_set.then_some(attribute))
    }

    /// Returns whether the file is polled.
    pub(super) fn polls_a_file(&self) -> bool {
        self.poll_queues > 0 && self.backing_file.get().is_some()
    }

    /// Returns the capacity in bytes, or [`None`] if it is that of the file.
    pub(super) fn bytes(&self) -> Option<u64> {
        match (self.size, self.backing_file.get()) {
            (0, Some(_)) => None,
            (0, None) => Some(DEFAULT_SIZE_MIB << 20),
            (size, _) => Some(size << 20),
        }
    }

    /// Returns the limit of the sectors of a request.
    pub(super) fn request_sectors(&self) -> u32 {
        let sectors = match self.max_sectors {
            0 => MAX_REQUEST_SECTORS,
            sectors => u64::from(sectors),
        };
        let in_time = match self.mbps {
            0 => u64::MAX,
            rate => (u64::from(rate) << (20 - SECTOR_SHIFT)) * MAX_TRANSFER_SECS,
        };
        // CAST: The maximum has 32 bits.
        sectors.min(in_time) as u32
    }

    /// Returns how many pages the volatile cache has room for, 0 if there is none.
    pub(super) fn cache_pages(&self) -> usize {
        // CAST: From 64 bits to 64.
        self.cache_size as usize * ((1 << 20) / PAGE_SIZE)
    }

    /// Returns the hardware queues.
    pub(super) fn queues(&self) -> QueueCounts {
        QueueCounts {
            default: if self.use_per_node_hctx {
                online_nodes()
            } else {
                self.submit_queues
            },
            read: 0,
            poll: self.poll_queues,
        }
    }
}
