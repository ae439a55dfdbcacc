// SPDX-License-Identifier: GPL-2.0

//! Hardware queues.

use core::{
    cell::Cell,
    marker::PhantomData,
    mem,
    ptr::{
        self,
        NonNull, //
    }, //
};

use kernel::{
    bindings,
    prelude::*,
    types::ForeignOwnable, //
};

use super::Operations;

/// The kind of I/O that a hardware queue is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HctxType {
    /// All I/O that no other queue is for.
    Default,
    /// Reads.
    Read,
    /// Polled I/O.
    Poll,
}

impl HctxType {
    /// All types, in the order of the maps of a tag set.
    pub const ALL: [Self; 3] = [Self::Default, Self::Read, Self::Poll];

    /// Returns the index of the map of this type in a tag set.
    pub(super) const fn index(self) -> usize {
        (match self {
            Self::Default => bindings::hctx_type_HCTX_TYPE_DEFAULT,
            Self::Read => bindings::hctx_type_HCTX_TYPE_READ,
            Self::Poll => bindings::hctx_type_HCTX_TYPE_POLL,
        }) as usize
    }

    #[inline]
    fn from_raw(raw: u16) -> Self {
        match bindings::hctx_type::from(raw) {
            bindings::hctx_type_HCTX_TYPE_POLL => Self::Poll,
            bindings::hctx_type_HCTX_TYPE_READ => Self::Read,
            _ => Self::Default,
        }
    }
}

/// The driver's data of a request queue, borrowed.
pub type BorrowedQueueData<'a, T> = <<T as Operations>::QueueData as ForeignOwnable>::Borrowed<'a>;

/// What the driver data of a hardware queue points to.
#[pin_data]
pub(super) struct HctxData<T: Operations> {
    #[pin]
    data: T::HwData,
    /// The number of the hardware queue.
    index: u32,
    /// The next in a [`HctxDataList`], or NULL.
    next: Cell<*mut c_void>,
}

impl<T: Operations> HctxData<T> {
    /// Makes the data of the hardware queue with number `index`.
    ///
    /// # Errors
    ///
    /// Those of [`Operations::init_hctx`].
    fn new<'a>(
        queue_data: BorrowedQueueData<'a, T>,
        index: u32,
    ) -> impl PinInit<Self, Error> + use<'a, T> {
        try_pin_init!(Self {
            data <- T::init_hctx(queue_data, index),
            index,
            next: Cell::new(ptr::null_mut()),
        })
    }

    /// Makes the data of the hardware queue with number `index`. Its `driver_data` is the foreign pointer.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`], and those of [`Operations::init_hctx`].
    pub(super) fn boxed(
        queue_data: BorrowedQueueData<'_, T>,
        index: u32,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(Self::new(queue_data, index), GFP_KERNEL)
    }

    /// # Safety
    ///
    /// `foreign` must come from `into_foreign()` of a pinned box of `Self`, and not be freed for
    /// `'a`.
    #[inline]
    unsafe fn borrow<'a>(foreign: *mut c_void) -> &'a Self {
        // SAFETY: By the safety requirements of this function. A box that is pinned is borrowed
        // shared by everything but its drop.
        unsafe { <Pin<KBox<Self>> as ForeignOwnable>::borrow(foreign) }.get_ref()
    }
}

/// Driver data that no hardware queue has: not yet, or no longer.
///
/// Callbacks may still be running on the latter. `exit_hctx` does not free them, because all it can
/// rely on is that all requests have ended. A dispatcher may still be in [`Operations::queue_rq`],
/// with the last of them ended there.
///
/// # Invariants
///
/// `self.0` is NULL or the first of a chain, linked by `next`, of pointers from `into_foreign()` of
/// pinned boxes of [`HctxData<T>`], which the chain owns.
pub(super) struct HctxDataList<T: Operations>(*mut c_void, PhantomData<KBox<HctxData<T>>>);

// SAFETY: What it owns is `Send`.
unsafe impl<T: Operations> Send for HctxDataList<T> {}

impl<T: Operations> HctxDataList<T> {
    pub(super) const fn new() -> Self {
        // INVARIANT: No chain.
        Self(ptr::null_mut(), PhantomData)
    }

    /// # Safety
    ///
    /// `data` must come from `into_foreign()` of a pinned box of [`HctxData<T>`], the ownership of
    /// which is passed. Shared borrows may exist.
    pub(super) unsafe fn push(&mut self, data: *mut c_void) {
        // INVARIANT: By the safety requirements of this function, and what was there follows.
        // SAFETY: By the safety requirements of this function. Nothing but this list accesses
        // `next`.
        unsafe { HctxData::<T>::borrow(data) }.next.set(self.0);
        self.0 = data;
    }

    /// Moves all of them to a new list.
    pub(super) fn take(&mut self) -> Self {
        mem::replace(self, Self::new())
    }

    /// Takes the data of a hardware queue with number `index` out, if there are any, for another
    /// one with this number. Shared borrows may exist.
    pub(super) fn remove(&mut self, index: u32) -> Option<*mut c_void> {
        let mut others = Self::new();
        let mut found = None;
        while let Some(data) = self.pop() {
            // SAFETY: It came out of this list. Its owner, which is this function, does not free it.
            if found.is_none() && unsafe { HctxData::<T>::borrow(data) }.index == index {
                found = Some(data);
            } else {
                // SAFETY: It came out of this list.
                unsafe { others.push(data) };
            }
        }
        *self = others;
        found
    }

    /// Moves all of another list to this one.
    pub(super) fn append(&mut self, mut other: Self) {
        while let Some(data) = other.pop() {
            // SAFETY: It came out of such a list.
            unsafe { self.push(data) };
        }
    }

    /// Takes the first out. It came from `into_foreign()` of a pinned box of [`HctxData<T>`], the
    /// ownership of which is passed.
    fn pop(&mut self) -> Option<*mut c_void> {
        let data = self.0;
        if data.is_null() {
            return None;
        }
        // INVARIANT: What follows the first.
        // SAFETY: By the type invariant, the list owns it. Nothing but lists accesses `next`.
        self.0 = unsafe { HctxData::<T>::borrow(data) }.next.get();
        Some(data)
    }

    /// # Safety
    ///
    /// No borrow of the data may be used any more.
    pub(super) unsafe fn free(mut self) {
        while let Some(data) = self.pop() {
            // SAFETY: It came from `into_foreign()`; by the safety requirements of this function
            // nothing borrows what it points to.
            drop(unsafe { Pin::<KBox<HctxData<T>>>::from_foreign(data) });
        }
    }
}

/// A borrowed hardware queue.
///
/// # Invariants
///
/// For `'a`, `self.0` points to a live `struct blk_mq_hw_ctx`, the driver data of which `T`'s
/// `init_hctx` callback has set and which are not freed, of a queue whose data was set by
/// [`super::GenDiskBuilder::build`] and is not freed.
pub struct Hctx<'a, T: Operations>(NonNull<bindings::blk_mq_hw_ctx>, PhantomData<&'a T>);

impl<T: Operations> Clone for Hctx<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Operations> Copy for Hctx<'_, T> {}

impl<'a, T: Operations> Hctx<'a, T> {
    /// # Safety
    ///
    /// The type invariant must hold for `ptr` for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: *mut bindings::blk_mq_hw_ctx) -> Self {
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: A live `struct blk_mq_hw_ctx` is not at NULL.
        Self(unsafe { NonNull::new_unchecked(ptr) }, PhantomData)
    }

    /// Returns the C hardware queue.
    pub(super) fn as_raw(self) -> *mut bindings::blk_mq_hw_ctx {
        self.0.as_ptr()
    }

    /// Returns the driver's data of this hardware queue.
    #[inline]
    pub fn data(self) -> &'a T::HwData {
        // SAFETY: By the type invariant the field was set by `init_hctx`, from a
        // `Pin<KBox<HctxData<T>>>`, and is not changed or freed for `'a`.
        unsafe { &HctxData::<T>::borrow((*self.0.as_ptr()).driver_data).data }
    }

    /// Returns the driver's data of the request queue.
    #[inline]
    pub fn queue_data(self) -> BorrowedQueueData<'a, T> {
        // SAFETY: By the type invariant the queue is live, its data came from `into_foreign()` and
        // is not freed for `'a`.
        unsafe { T::QueueData::borrow((*(*self.0.as_ptr()).queue).queuedata) }
    }

    /// Returns the kind of I/O that this hardware queue is for.
    #[inline]
    pub fn kind(self) -> HctxType {
        // SAFETY: By the type invariant. The field is set before the queue is used.
        HctxType::from_raw(unsafe { (*self.0.as_ptr()).type_ })
    }
}
