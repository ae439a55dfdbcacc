// SPDX-License-Identifier: GPL-2.0

//! Objects of processes, by the process and a number.

use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed,
                Release, //
            },
            Atomic, //
        },
        rcu,
        Mutex, //
    },
};

/// What an object needs to be in a table.
pub struct Link<E> {
    /// The address of something that stands for the process.
    owner: usize,
    id: Atomic<u32>,
    /// The next object of the bucket.
    next: Atomic<*mut E>,
}

impl<E> Link<E> {
    pub(super) fn new(owner: usize) -> Self {
        Self {
            owner,
            id: Atomic::new(0),
            next: Atomic::new(null_mut()),
        }
    }

    /// Returns the number, once the object is in a table.
    #[inline]
    pub(super) fn id(&self) -> u32 {
        self.id.load(Relaxed)
    }

    #[inline]
    fn is(&self, owner: usize, id: u32) -> bool {
        self.owner == owner && self.id() == id
    }
}

/// An object with a [`Link`].
///
/// # Safety
///
/// `link` must always return the same one.
pub unsafe trait Linked: Sized {
    /// Returns the link.
    fn link(&self) -> &Link<Self>;
}

/// Objects by their processes and numbers, which are looked up without a lock.
///
/// # Invariants
///
/// Each bucket starts a chain of valid objects, which is ended by null. An object that has been
/// removed stays valid for an RCU grace period.
#[pin_data]
pub struct Table<E> {
    buckets: KVec<Atomic<*mut E>>,
    /// Held by the task that changes the table.
    #[pin]
    changing: Mutex<()>,
    _p: PhantomData<NonNull<E>>,
}

// SAFETY: The table gives out pointers only.
unsafe impl<E> Send for Table<E> {}

// SAFETY: As above. Tasks that change the table exclude each other.
unsafe impl<E> Sync for Table<E> {}

/// The number of buckets, a power of two.
const BUCKETS: usize = 1024;

impl<E: Linked> Table<E> {
    /// Creates an empty table. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: Null is the empty chain.
            buckets: {
                let mut buckets = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
                for _ in 0..BUCKETS {
                    buckets.push(Atomic::new(null_mut()), GFP_KERNEL)?;
                }
                buckets
            },
            changing <- new_mutex!(()),
            _p: PhantomData,
        })
    }

    #[inline]
    fn bucket(&self, owner: usize, id: u32) -> &Atomic<*mut E> {
        /// A prime near 2^64 divided by the golden ratio.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c55;
        let hash = (owner as u64 ^ u64::from(id)).wrapping_mul(FACTOR);
        // CAST: The upper bits, which are as many as an index has.
        &self.buckets[(hash >> (u64::BITS - BUCKETS.ilog2())) as usize]
    }

    /// Adds an object, with the lowest number that its process has free. Sleeps.
    ///
    /// # Safety
    ///
    /// `entry` must stay valid until an RCU grace period has ended since it was removed.
    pub(super) unsafe fn insert(&self, entry: NonNull<E>) {
        // SAFETY: By the safety requirements of this function.
        let link = unsafe { entry.as_ref() }.link();
        let _changing = self.changing.lock();
        let mut id = 0;
        while !self.lookup(link.owner, id).is_null() {
            id += 1;
        }
        link.id.store(id, Relaxed);
        let bucket = self.bucket(link.owner, id);
        link.next.store(bucket.load(Relaxed), Relaxed);
        // INVARIANT: The object is valid, by the safety requirements of this function, and begins the
        // chain that was there.
        bucket.store(entry.as_ptr(), Release);
    }

    /// Removes an object. Sleeps.
    ///
    /// # Safety
    ///
    /// It must be in the table.
    pub(super) unsafe fn remove(&self, entry: NonNull<E>) {
        // SAFETY: By the type invariant.
        let link = unsafe { entry.as_ref() }.link();
        let _changing = self.changing.lock();
        let mut place = self.bucket(link.owner, link.id());
        while place.load(Relaxed) != entry.as_ptr() {
            // SAFETY: By the safety requirements of this function the chain has `entry`, which is
            // behind this object. Only the holder of the lock changes it.
            place = unsafe { &(*place.load(Relaxed)).link().next };
        }
        // INVARIANT: The chain goes on behind the object. The link of that stays, for tasks that are
        // looking at it.
        place.store(link.next.load(Relaxed), Release);
    }

    /// Calls `f` with all objects of a process, while the table does not change. Sleeps.
    ///
    /// Each is valid for as long as it is not removed.
    pub(super) fn for_each_of(&self, owner: usize, mut f: impl FnMut(NonNull<E>)) {
        let _changing = self.changing.lock();
        for bucket in &self.buckets {
            let mut entry = bucket.load(Relaxed);
            while let Some(found) = NonNull::new(entry) {
                // SAFETY: By the type invariant.
                let link = unsafe { found.as_ref() }.link();
                if link.owner == owner {
                    f(found);
                }
                entry = link.next.load(Relaxed);
            }
        }
    }

    /// Returns an object or null, for a caller that holds the lock or is in an RCU read-side
    /// critical section.
    #[inline]
    fn lookup(&self, owner: usize, id: u32) -> *mut E {
        let mut entry = self.bucket(owner, id).load(Acquire);
        // SAFETY: By the type invariant it is valid, and so are those behind it.
        while let Some(link) = unsafe { entry.as_ref() }.map(Linked::link) {
            if link.is(owner, id) {
                break;
            }
            entry = link.next.load(Acquire);
        }
        entry
    }

    /// Calls `f` with the object of a number, if there is one. It was in the table after the call
    /// began, and an RCU grace period does not end before `f` returns.
    #[inline]
    pub(super) fn find<R>(
        &self,
        owner: usize,
        id: u32,
        f: impl FnOnce(NonNull<E>) -> Option<R>,
    ) -> Option<R> {
        let _rcu = rcu::read_lock();
        NonNull::new(self.lookup(owner, id)).and_then(f)
    }
}

#[kunit_tests(rnull_dio_aio_table)]
mod tests {
    use super::*;

    struct Entry(Link<Entry>);

    // SAFETY: It is a field.
    unsafe impl Linked for Entry {
        fn link(&self) -> &Link<Self> {
            &self.0
        }
    }

    fn found(table: &Table<Entry>, owner: usize, id: u32) -> bool {
        table.find(owner, id, Some).is_some()
    }

    #[test]
    fn numbers_are_the_lowest_that_are_free() -> Result {
        // More than buckets.
        const COUNT: u32 = 2000;
        let table = KBox::try_pin_init(Table::new(), GFP_KERNEL)?;
        let mut entries = KVec::new();
        for index in 0..2 * COUNT as usize {
            let entry = KBox::new(Entry(Link::new(index % 2 + 1)), GFP_KERNEL)?;
            // SAFETY: It is freed after the table, which only this task uses.
            unsafe { table.insert(NonNull::from(&*entry)) };
            assert_eq!(entry.0.id() as usize, index / 2);
            entries.push(entry, GFP_KERNEL)?;
        }
        for id in [COUNT - 1, 7, 0] {
            let entry = &entries[2 * id as usize];
            // SAFETY: It is in the table.
            unsafe { table.remove(NonNull::from(&**entry)) };
            assert!(!found(&table, 1, id));
            assert!(found(&table, 2, id));
        }
        for id in [0, 7, COUNT - 1, COUNT] {
            let entry = KBox::new(Entry(Link::new(1)), GFP_KERNEL)?;
            // SAFETY: As above.
            unsafe { table.insert(NonNull::from(&*entry)) };
            assert_eq!(entry.0.id(), id);
            entries.push(entry, GFP_KERNEL)?;
        }
        for id in 0..=COUNT {
            assert!(found(&table, 1, id));
            assert_eq!(found(&table, 2, id), id < COUNT);
        }
        assert!(!found(&table, 3, 0));
        drop(table);
        drop(entries);
        Ok(())
    }
}
