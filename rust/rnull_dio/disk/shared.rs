// SPDX-License-Identifier: GPL-2.0

//! What disks have in common: tag sets that they share, their numbers, and which is on which.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

use kernel_ext::block::mq::{
    TagSet,
    TagSetConfig, //
};

use super::{
    driver::NullDisk,
    nesting::Nesting, //
};

/// What all disks of a directory in configfs have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(super) tag_sets: Arc<SharedTagSets>,
    pub(super) indexes: Arc<Indexes>,
    pub(super) nesting: Arc<Nesting>,
}

impl Shared {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            tag_sets: Arc::pin_init(SharedTagSets::new(), GFP_KERNEL)?,
            indexes: Arc::pin_init(Indexes::new(), GFP_KERNEL)?,
            nesting: Arc::pin_init(Nesting::new(), GFP_KERNEL)?,
        })
    }
}

/// The tag sets that disks share: those whose configurations are equal have one.
///
/// Not for disks whose data is in a file. If that is on another such disk, requests of one wait for
/// requests of the other, for which there might be no tag left.
#[pin_data]
pub(super) struct SharedTagSets {
    #[pin]
    sets: Mutex<KVec<SharedTagSet>>,
}

struct SharedTagSet {
    config: TagSetConfig,
    tag_set: Arc<TagSet<NullDisk>>,
    /// How many [`TagSetUse`] there are of it. At least one.
    uses: usize,
}

impl SharedTagSets {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            sets <- new_mutex!(KVec::new()),
        })
    }

    /// Returns the tag set with this configuration, which is made if no disk has it. May sleep.
    fn get(&self, config: TagSetConfig) -> Result<Arc<TagSet<NullDisk>>> {
        let mut sets = self.sets.lock();
        if let Some(shared) = sets.iter_mut().find(|shared| shared.config == config) {
            shared.uses += 1;
            return Ok(shared.tag_set.clone());
        }
        let tag_set = Arc::pin_init(TagSet::new(config), GFP_KERNEL)?;
        let shared = SharedTagSet {
            config,
            tag_set: tag_set.clone(),
            uses: 1,
        };
        sets.push(shared, GFP_KERNEL)?;
        Ok(tag_set)
    }

    /// Undoes one [`get`](Self::get).
    fn put(&self, tag_set: &Arc<TagSet<NullDisk>>) {
        let mut sets = self.sets.lock();
        let index = sets
            .iter()
            .position(|shared| Arc::ptr_eq(&shared.tag_set, tag_set));
        let Some(index) = index else {
            return;
        };
        sets[index].uses -= 1;
        if sets[index].uses == 0 {
            let _ = sets.remove(index);
        }
    }
}

/// The use of a tag set by a disk. Dropped after the disk, because disks that are powered on later do
/// not share a set that is no longer in the list.
pub(super) struct TagSetUse {
    tag_set: Arc<TagSet<NullDisk>>,
    shared: Option<Arc<SharedTagSets>>,
}

impl TagSetUse {
    /// Gets one of its own for a disk, or with `shared` one of these. May sleep.
    pub(super) fn new(config: TagSetConfig, shared: Option<Arc<SharedTagSets>>) -> Result<Self> {
        let tag_set = match &shared {
            Some(shared) => shared.get(config)?,
            None => Arc::pin_init(TagSet::new(config), GFP_KERNEL)?,
        };
        Ok(Self { tag_set, shared })
    }

    /// Returns the tag set.
    pub(super) fn tag_set(&self) -> Arc<TagSet<NullDisk>> {
        self.tag_set.clone()
    }
}

impl Drop for TagSetUse {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.put(&self.tag_set);
        }
    }
}

/// The numbers of disks, in no order.
#[pin_data]
pub(super) struct Indexes {
    #[pin]
    used: Mutex<KVec<u32>>,
}

impl Indexes {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            used <- new_mutex!(KVec::new()),
        })
    }
}

/// The number of a disk, which no other one has.
pub(super) struct Index {
    indexes: Arc<Indexes>,
    number: u32,
}

impl Index {
    /// Takes the lowest number that is free.
    pub(super) fn new(indexes: Arc<Indexes>) -> Result<Self> {
        let mut used = indexes.used.lock();
        // One of the first n + 1 numbers is not among n.
        let number = (0..).find(|number| !used.contains(number)).ok_or(ENOSPC)?;
        used.push(number, GFP_KERNEL)?;
        drop(used);
        Ok(Self { indexes, number })
    }

    /// Returns the number.
    pub(super) fn get(&self) -> u32 {
        self.number
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.indexes
            .used
            .lock()
            .retain(|number| *number != self.number);
    }
}

#[kunit_tests(rnull_dio_disk_shared)]
mod tests {
    use super::*;
    use kernel_ext::{
        block::mq::{
            Flags,
            QueueCounts, //
        },
        numa::Node, //
    };

    fn config(queue_depth: u32) -> TagSetConfig {
        TagSetConfig {
            queues: QueueCounts {
                default: 1,
                read: 0,
                poll: 0,
            },
            queue_depth,
            flags: Flags::default(),
            node: Node::ANY,
            timeout: 0,
        }
    }

    #[test]
    fn equal_configurations_share_a_tag_set() -> Result {
        let shared = Shared::new()?.tag_sets;
        let new = |depth| TagSetUse::new(config(depth), Some(shared.clone()));
        let (first, second, other) = (new(4)?, new(4)?, new(5)?);
        assert!(Arc::ptr_eq(&first.tag_set(), &second.tag_set()));
        assert!(!Arc::ptr_eq(&first.tag_set(), &other.tag_set()));
        let own = TagSetUse::new(config(4), None)?;
        assert!(!Arc::ptr_eq(&first.tag_set(), &own.tag_set()));

        drop(first);
        let third = new(4)?;
        assert!(Arc::ptr_eq(&second.tag_set(), &third.tag_set()));
        drop(second);
        drop(other);
        assert_eq!(shared.sets.lock().len(), 1);
        drop(third);
        assert_eq!(shared.sets.lock().len(), 0);
        Ok(())
    }

    #[test]
    fn a_configuration_that_fails_leaves_nothing_behind() -> Result {
        let shared = Shared::new()?.tag_sets;
        assert!(TagSetUse::new(config(0), Some(shared.clone())).is_err());
        assert_eq!(shared.sets.lock().len(), 0);
        Ok(())
    }

    #[test]
    fn numbers_are_the_lowest_that_are_free() -> Result {
        let indexes = Shared::new()?.indexes;
        let new = || Index::new(indexes.clone());
        let (zero, one, two) = (new()?, new()?, new()?);
        assert_eq!([zero.get(), one.get(), two.get()], [0, 1, 2]);
        drop(one);
        let again = new()?;
        assert_eq!(again.get(), 1);
        drop(zero);
        assert_eq!(new()?.get(), 0);
        Ok(())
    }
}
