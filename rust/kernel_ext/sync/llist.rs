// SPDX-License-Identifier: GPL-2.0

//! Lock-less lists of owned objects: many contexts add, and one at a time takes all.
//!
//! C header: [`include/linux/llist.h`](srctree/include/linux/llist.h)

use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    ffi::c_void,
    prelude::*,
    sync::atomic::{
        ordering,
        Atomic, //
    },
};

/// An owned object with room for a link to another one.
///
/// # Safety
///
/// - `from_raw` gives back the object that `into_raw` took, and the pointer is unique to it.
/// - `link` points to memory that stays valid, and that nothing but the list accesses, from
///   `into_raw` to `from_raw`.
pub unsafe trait Node: Sized + Send {
    /// Gives up ownership for a pointer.
    fn into_raw(self) -> NonNull<c_void>;

    /// Takes ownership again.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw`, and each such pointer may be passed once.
    unsafe fn from_raw(ptr: NonNull<c_void>) -> Self;

    /// Returns where the link of the object is.
    ///
    /// # Safety
    ///
    /// `ptr` must come from `into_raw` and not have been passed to `from_raw`.
    unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void;
}

/// A list that any context may add to without a lock, interrupts included.
///
/// # Examples
///
/// ```
/// use kernel_ext::sync::llist::{LockLessList, Node};
///
/// /// Adds `work`, and returns whether the caller has to schedule its processing.
/// fn add<N: Node>(list: &LockLessList<N>, work: N) -> bool {
///     list.push(work)
/// }
///
/// fn process<N: Node>(list: &LockLessList<N>, f: impl FnMut(N)) {
///     list.take_all().for_each(f);
/// }
/// ```
///
/// # Invariants
///
/// `first` is null or starts a chain of objects that the list owns, linked through
/// [`Node::link`] and ended by null.
pub struct LockLessList<N: Node> {
    first: Atomic<*mut c_void>,
    _p: PhantomData<N>,
}

// SAFETY: The list owns its nodes, which are `Send`.
unsafe impl<N: Node> Send for LockLessList<N> {}

// SAFETY: `push` and `take_all` are atomic; no reference to a node in the list is given out.
unsafe impl<N: Node> Sync for LockLessList<N> {}

impl<N: Node> LockLessList<N> {
    /// Creates an empty list.
    pub const fn new() -> Self {
        // INVARIANT: Null is the empty chain.
        Self {
            first: Atomic::new(null_mut()),
            _p: PhantomData,
        }
    }

    /// Adds `node`. Any context. Returns whether the list was empty: a caller that gets `true` has
    /// to make sure that the list will be processed.
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

    /// Returns whether the list is empty. A hint, if other contexts add at the same time.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.load(ordering::Relaxed).is_null()
    }

    /// Takes all objects, in the order in which they were added. Any context.
    pub fn take_all(&self) -> Drain<N> {
        // INVARIANT: Null is the empty chain.
        let mut chain = self.first.xchg(null_mut(), ordering::Full);
        let mut first = null_mut();
        while let Some(ptr) = NonNull::new(chain) {
            // SAFETY: The chain is ours now, and its nodes are still pointers.
            let link = unsafe { N::link(ptr) };
            // SAFETY: As above; only we access the links.
            chain = unsafe { core::mem::replace(&mut *link, first) };
            first = ptr.as_ptr();
        }
        // INVARIANT: The chain was taken off the list as a whole and is ours.
        Drain {
            first,
            _p: PhantomData,
        }
    }
}

impl<N: Node> Default for LockLessList<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<N: Node> Drop for LockLessList<N> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

/// The objects of a list that were taken together, in the order in which they were added.
///
/// # Invariants
///
/// `first` is null or starts a chain of objects that this object owns.
pub struct Drain<N: Node> {
    first: *mut c_void,
    _p: PhantomData<N>,
}

impl<N: Node> Drain<N> {
    /// Returns whether none is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_null()
    }
}

impl<N: Node> Iterator for Drain<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        let ptr = NonNull::new(self.first)?;
        // SAFETY: By the type invariant the node is ours.
        self.first = unsafe { *N::link(ptr) };
        // SAFETY: As above; it is no longer part of the chain, so it is passed once.
        Some(unsafe { N::from_raw(ptr) })
    }
}

impl<N: Node> Drop for Drain<N> {
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
            // SAFETY: By the safety requirements of this function.
            unsafe { KBox::from_raw(ptr.cast().as_ptr()) }
        }

        unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
            // SAFETY: By the safety requirements of this function.
            unsafe { &raw mut (*ptr.cast::<Number>().as_ptr()).link }
        }
    }

    fn number(value: usize) -> Result<KBox<Number>> {
        let link = null_mut();
        Ok(KBox::new(Number { value, link }, GFP_KERNEL)?)
    }

    #[test]
    fn first_in_first_out() -> Result {
        let list = LockLessList::new();
        assert!(list.is_empty());
        assert!(list.take_all().next().is_none());
        // Only the first caller has to schedule the processing.
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
    fn a_drain_may_be_dropped_before_its_end() -> Result {
        let list = LockLessList::new();
        for value in 0..3 {
            list.push(number(value)?);
        }
        let mut drain = list.take_all();
        assert_eq!(drain.next().map(|number| number.value), Some(0));
        assert!(!drain.is_empty());
        // kmemleak would report the others.
        drop(drain);
        Ok(())
    }
}
