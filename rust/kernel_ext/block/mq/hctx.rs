// SPDX-License-Identifier: GPL-2.0

//! Hardware queues.

use super::Operations;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    types::ForeignOwnable, //
};

/// What a hardware queue is for.
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

/// A borrowed hardware queue.
///
/// # Invariants
///
/// For `'a`, `self.0` points to a live `struct blk_mq_hw_ctx`, for which `T`'s `init_hctx` callback
/// has set the driver data and has not been undone, of a queue whose data was set by
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
        // INVARIANT: By the safety requirements.
        // SAFETY: A live `struct blk_mq_hw_ctx` is not at NULL.
        Self(unsafe { NonNull::new_unchecked(ptr) }, PhantomData)
    }

    /// Returns the driver's data of this hardware queue.
    #[inline]
    pub fn data(self) -> &'a T::HwData {
        // SAFETY: By the type invariant the field was set by `init_hctx`, from a
        // `Pin<KBox<T::HwData>>`, and is not changed or freed for `'a`.
        let data = unsafe {
            <Pin<KBox<T::HwData>> as ForeignOwnable>::borrow((*self.0.as_ptr()).driver_data)
        };
        data.get_ref()
    }

    /// Returns the driver's data of the request queue.
    #[inline]
    pub fn queue_data(self) -> <T::QueueData as ForeignOwnable>::Borrowed<'a> {
        // SAFETY: By the type invariant the queue is live, its data came from `into_foreign()` and
        // is not freed for `'a`.
        unsafe { T::QueueData::borrow((*(*self.0.as_ptr()).queue).queuedata) }
    }

    /// Returns what this hardware queue is for.
    #[inline]
    pub fn kind(self) -> HctxType {
        // SAFETY: By the type invariant. The field is set before the queue is used.
        HctxType::from_raw(unsafe { (*self.0.as_ptr()).type_ })
    }

    /// Returns the number of this hardware queue.
    #[inline]
    pub fn index(self) -> u32 {
        // SAFETY: By the type invariant. The field is set before the queue is used.
        unsafe { (*self.0.as_ptr()).queue_num }
    }
}
