// SPDX-License-Identifier: GPL-2.0

//! Objects of processes, by the process and an address in its memory.

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

use crate::{
    bindings,
    context::MaySleep, //
};

/// What an object needs to be in a table.
pub(super) struct Link<E> {
    /// The address of something that stands for the process.
    owner: usize,
    address: Atomic<usize>,
    /// Whether the object has been removed, or was to be while it was being moved.
    removed: Atomic<bool>,
    /// The next object of the bucket.
    next: Atomic<*mut E>,
}

impl<E> Link<E> {
    pub(super) fn new(owner: usize) -> Self {
        Self {
            owner,
            address: Atomic::new(0),
            removed: Atomic::new(false),
            next: Atomic::new(null_mut()),
        }
    }

    /// Returns the address, once the object has been in a table.
    #[inline]
    pub(super) fn address(&self) -> usize {
        self.address.load(Relaxed)
    }

    #[inline]
    fn is(&self, owner: usize, address: usize) -> bool {
        self.owner == owner && self.address() == address
    }
}

/// An object with a [`Link`].
///
/// # Safety
///
/// `link` must always return the same one.
pub(super) unsafe trait Linked: Sized {
    /// Returns the link.
    fn link(&self) -> &Link<Self>;
}

/// Objects by their processes and addresses, which are looked up without a lock and without access
/// to user space.
///
/// # Invariants
///
/// Each bucket starts a chain of valid objects, which is ended by null. An object that has been
/// removed stays valid for an RCU grace period.
#[pin_data]
pub(super) struct Table<E> {
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
    pub(super) fn new() -> impl PinInit<Self, Error> {
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
    fn bucket(&self, owner: usize, address: usize) -> &Atomic<*mut E> {
        /// A prime near 2^64 divided by the golden ratio.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c55;
        let hash = ((owner ^ address) as u64).wrapping_mul(FACTOR);
        // CAST: The upper bits, which are as many as an index has.
        &self.buckets[(hash >> (u64::BITS - BUCKETS.ilog2())) as usize]
    }

    /// Adds an object at `address`. Sleeps.
    ///
    /// # Safety
    ///
    /// `entry` must not be in the table, and stay valid until an RCU grace period has ended since it
    /// was removed.
    pub(super) unsafe fn insert(&self, entry: NonNull<E>, address: usize) {
        let _changing = self.changing.lock();
        // SAFETY: By the safety requirements of this function.
        unsafe { self.link_in(entry, address) };
    }

    /// Removes an object, for good. Sleeps.
    ///
    /// # Safety
    ///
    /// It must be valid, and have been in no other table.
    pub(super) unsafe fn remove(&self, entry: NonNull<E>) {
        let _changing = self.changing.lock();
        // SAFETY: By the safety requirements of this function.
        unsafe {
            entry.as_ref().link().removed.store(true, Relaxed);
            self.unlink(entry);
        }
    }

    /// Changes the address of an object. Sleeps for an RCU grace period, in which the object is not
    /// found. Returns whether it did: not if the object is not in the table, or is removed in the
    /// meantime.
    ///
    /// # Safety
    ///
    /// As for [`remove`](Self::remove). There must be one call at a time for an object, which stays
    /// valid for it.
    #[must_use]
    pub(super) unsafe fn move_to(
        &self,
        entry: NonNull<E>,
        address: usize,
        _ctx: &MaySleep,
    ) -> bool {
        let changing = self.changing.lock();
        // SAFETY: By the safety requirements of this function.
        if !unsafe { self.unlink(entry) } {
            return false;
        }
        drop(changing);
        // Tasks that are at this object go on in the chain that it was in.
        // SAFETY: No requirements.
        unsafe { bindings::synchronize_rcu() };
        let _changing = self.changing.lock();
        // SAFETY: By the safety requirements of this function.
        if unsafe { entry.as_ref() }.link().removed.load(Relaxed) {
            return false;
        }
        // SAFETY: It was in the table.
        unsafe { self.link_in(entry, address) };
        true
    }

    /// # Safety
    ///
    /// As for [`insert`](Self::insert), for the holder of the lock.
    unsafe fn link_in(&self, entry: NonNull<E>, address: usize) {
        // SAFETY: By the safety requirements of this function.
        let link = unsafe { entry.as_ref() }.link();
        let bucket = self.bucket(link.owner, address);
        link.address.store(address, Relaxed);
        link.next.store(bucket.load(Relaxed), Relaxed);
        // INVARIANT: The object is valid, by the safety requirements of this function, and begins the
        // chain that was there.
        bucket.store(entry.as_ptr(), Release);
    }

    /// Takes an object out of its chain. Returns whether it was there.
    ///
    /// # Safety
    ///
    /// As for [`remove`](Self::remove), for the holder of the lock.
    unsafe fn unlink(&self, entry: NonNull<E>) -> bool {
        // SAFETY: By the safety requirements of this function.
        let link = unsafe { entry.as_ref() }.link();
        let mut place = self.bucket(link.owner, link.address());
        while let Some(at) = NonNull::new(place.load(Relaxed)) {
            if at == entry {
                // INVARIANT: The chain goes on behind the object. The link of that stays, for tasks
                // that are looking at it.
                place.store(link.next.load(Relaxed), Release);
                return true;
            }
            // SAFETY: By the type invariant. Only the holder of the lock changes the chain.
            place = unsafe { &(*at.as_ptr()).link().next };
        }
        false
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

    /// Calls `f` with the object at an address, if there is one, in an RCU read-side critical section.
    /// It was in the table after the call began. Any context.
    #[inline]
    pub(super) fn find<R>(
        &self,
        owner: usize,
        address: usize,
        f: impl FnOnce(NonNull<E>) -> Option<R>,
    ) -> Option<R> {
        let _rcu = rcu::read_lock();
        let mut entry = self.bucket(owner, address).load(Acquire);
        loop {
            let found = NonNull::new(entry)?;
            // SAFETY: By the type invariant it is valid, and so are those behind it.
            let link = unsafe { found.as_ref() }.link();
            if link.is(owner, address) {
                return f(found);
            }
            entry = link.next.load(Acquire);
        }
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

    fn found(table: &Table<Entry>, owner: usize, address: usize) -> bool {
        let is = |entry: NonNull<Entry>| {
            // SAFETY: The tests free entries after the table.
            Some(unsafe { entry.as_ref() }.0.is(owner, address))
        };
        table.find(owner, address, is) == Some(true)
    }

    /// Of two processes, which have objects at the same addresses.
    #[test]
    fn objects_are_found_by_process_and_address() -> Result {
        // More than buckets.
        const COUNT: usize = 2000;
        const PAGE: usize = 0x1000;
        let table = KBox::try_pin_init(Table::new(), GFP_KERNEL)?;
        let mut entries = KVVec::new();
        for index in 0..2 * COUNT {
            let entry = KBox::new(Entry(Link::new(index % 2 + 1)), GFP_KERNEL)?;
            // SAFETY: It is freed after the table, which only this task uses.
            unsafe { table.insert(NonNull::from(&*entry), index / 2 * PAGE) };
            entries.push(entry, GFP_KERNEL)?;
        }
        for at in [COUNT - 1, 7, 0] {
            let entry = NonNull::from(&*entries[2 * at]);
            // SAFETY: It is valid. To remove it twice changes nothing.
            unsafe {
                table.remove(entry);
                table.remove(entry);
            }
            assert!(!found(&table, 1, at * PAGE));
            assert!(found(&table, 2, at * PAGE));
        }
        for at in 0..=COUNT {
            let removed = [COUNT - 1, 7, 0, COUNT].contains(&at);
            assert_eq!(found(&table, 1, at * PAGE), !removed);
            assert_eq!(found(&table, 2, at * PAGE), at < COUNT);
        }
        assert!(!found(&table, 3, 0));
        drop(table);
        drop(entries);
        Ok(())
    }

    #[test]
    fn an_object_that_has_moved_is_at_its_new_address() -> Result {
        let table = KBox::try_pin_init(Table::new(), GFP_KERNEL)?;
        let entry = KBox::new(Entry(Link::new(1)), GFP_KERNEL)?;
        let raw = NonNull::from(&*entry);
        let ctx = MaySleep::new();
        // SAFETY: It is freed after the table, which only this task uses.
        unsafe {
            table.insert(raw, 1);
            assert!(table.move_to(raw, 2, &ctx));
            assert!(!found(&table, 1, 1) && found(&table, 1, 2));
            table.remove(raw);
            assert!(!table.move_to(raw, 3, &ctx));
        }
        assert!(!found(&table, 1, 2) && !found(&table, 1, 3));
        drop(table);
        drop(entry);
        Ok(())
    }
}
