// SPDX-License-Identifier: GPL-2.0

//! Lock-free lists that many contexts fill and one empties at a time.
//!
//! The algorithm is that of [`include/linux/llist.h`](srctree/include/linux/llist.h), over owned
//! objects instead of embedded nodes.

use core::{
    marker::PhantomData,
    ptr::{null_mut, NonNull}, //
};

use kernel::{
    ffi::c_void,
    prelude::*,
    sync::atomic::{ordering, Atomic}, //
};

/// An owned object with room for a link to another one.
///
/// # Safety
///
/// - `from_raw` gives back the object that `into_raw` took, and the pointer is unique to it.
/// - `link` points to memory that stays valid, and that nobody but the list accesses, from
///   `into_raw` to `from_raw`.
pub unsafe trait Node: Sized + Send {
    /// Gives up ownership for a pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// Takes ownership again.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw`, and each such pointer may be given back once.
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self;

    /// Where the link of the object is.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw` and not have been given back.
    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void;
}

/// A list that any context may add to without a lock, interrupts included.
///
/// # Invariants
///
/// `first` is null or starts a chain of objects that the list owns, linked through
/// [`Node::link`] and ended by null.
pub struct LockFreeList<N: Node> {
    first: Atomic<*mut c_void>,
    _nodes: PhantomData<N>,
}

// SAFETY: The list owns its nodes, which are `Send`.
unsafe impl<N: Node> Send for LockFreeList<N> {}

// SAFETY: `push` and `take_all` are atomic; no reference to a node in the list is given out.
unsafe impl<N: Node> Sync for LockFreeList<N> {}

impl<N: Node> LockFreeList<N> {
    /// Creates an empty list.
    pub const fn new() -> Self {
        // INVARIANT: Null is the empty chain.
        Self {
            first: Atomic::new(null_mut()),
            _nodes: PhantomData,
        }
    }

    /// Adds `node`. Returns whether the list was empty: the one who gets `true` has to see to it
    /// that somebody empties the list.
    pub fn push(&self, node: N) -> bool {
        let ptr = node.into_raw();
        let mut first = self.first.load(ordering::Relaxed);
        loop {
            // SAFETY: We own the node until it is published below.
            unsafe { *N::link(ptr) = first };
            // INVARIANT: The node links to what was the chain. Full order: the link must be
            // visible before the node is.
            match self.first.cmpxchg(first, ptr.as_ptr(), ordering::Full) {
                Ok(_) => return first.is_null(),
                Err(now) => first = now,
            }
        }
    }

    /// Is there nothing to take? A hint, when others add.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.load(ordering::Relaxed).is_null()
    }

    /// Takes all objects, the one that was added first in front.
    pub fn take_all(&self) -> Batch<N> {
        // INVARIANT: Null is the empty chain.
        let mut chain = self.first.xchg(null_mut(), ordering::Full);
        let mut first = null_mut();
        while let Some(ptr) = NonNull::new(chain) {
            // SAFETY: The chain is ours now, and its nodes have not been given back.
            let link = unsafe { N::link(ptr) };
            // SAFETY: As above; only we access the links.
            chain = unsafe { core::mem::replace(&mut *link, first) };
            first = ptr.as_ptr();
        }
        // INVARIANT: The chain was taken off the list as a whole and is ours.
        Batch {
            first,
            _nodes: PhantomData,
        }
    }
}

impl<N: Node> Default for LockFreeList<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Node> Drop for LockFreeList<N> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// Objects that were taken off a list together, in the order in which they were added.
///
/// # Invariants
///
/// `first` is null or starts a chain of objects that this batch owns.
pub struct Batch<N: Node> {
    first: *mut c_void,
    _nodes: PhantomData<N>,
}

impl<N: Node> Iterator for Batch<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        let ptr = NonNull::new(self.first)?;
        // SAFETY: By the type invariant the node is ours.
        self.first = unsafe { *N::link(ptr) };
        // SAFETY: As above; it is no longer part of the chain, so that it is given back once.
        Some(unsafe { N::from_raw(ptr) })
    }
}

impl<N: Node> Drop for Batch<N> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[kunit_tests(rnull_dio_llist)]
mod tests {
    use super::*;

    struct Number {
        value: usize,
        link: *mut c_void,
    }

    // SAFETY: The link is only used by lists.
    unsafe impl Send for Number {}

    // SAFETY: The pointer is that of a box, which is unique to it and has the link in it.
    unsafe impl Node for KBox<Number> {
        fn into_raw(self) -> NonNull<c_void> {
            NonNull::from(KBox::leak(self)).cast()
        }

        unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
            // SAFETY: Per the function's safety requirements.
            unsafe { KBox::from_raw(ptr.cast().as_ptr()) }
        }

        unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
            // SAFETY: Per the function's safety requirements.
            unsafe { &raw mut (*ptr.cast::<Number>().as_ptr()).link }
        }
    }

    fn number(value: usize) -> Result<KBox<Number>> {
        let link = null_mut();
        Ok(KBox::new(Number { value, link }, GFP_KERNEL)?)
    }

    #[test]
    fn first_in_first_out() -> Result {
        let list = LockFreeList::new();
        assert!(list.is_empty());
        assert!(list.take_all().next().is_none());
        // Only who adds to an empty list has to see to it.
        assert!(list.push(number(0)?));
        assert!(!list.push(number(1)?));
        assert!(!list.push(number(2)?));
        for (index, number) in list.take_all().enumerate() {
            assert_eq!(number.value, index);
        }
        assert!(list.is_empty());
        assert!(list.push(number(3)?));
        Ok(())
    }

    #[test]
    fn a_batch_may_be_dropped_half_used() -> Result {
        let list = LockFreeList::new();
        for value in 0..3 {
            list.push(number(value)?);
        }
        let mut batch = list.take_all();
        assert_eq!(batch.next().map(|number| number.value), Some(0));
        // kmemleak would tell of the others.
        drop(batch);
        Ok(())
    }
}
