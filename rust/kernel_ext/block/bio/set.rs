// SPDX-License-Identifier: GPL-2.0

//! Pools of head bios.

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

use super::{
    head::Head,
    BioTarget,
    HeadBio,
    Opf, //
};
use crate::{
    bindings,
    fs::Kiocb, //
};

/// Heads that the pool can always provide, one after the other, when memory is short.
const POOL_SIZE: u32 = 4;

/// A pool of head bios, with a per-CPU cache in front of it.
///
/// # Invariants
///
/// The inner `struct bio_set` is initialized, with [`Head::PAD`] bytes in front of each bio. It
/// lives in a [`BioTarget`], which outlives all heads, as each of them holds a [`Kiocb`].
#[pin_data(PinnedDrop)]
pub struct BioSet<T> {
    #[pin]
    set: Opaque<bindings::bio_set>,
    _target: PhantomData<fn(T)>,
}

// SAFETY: A bio set may be used and freed by any thread.
unsafe impl<T> Send for BioSet<T> {}

// SAFETY: Allocation synchronizes itself.
unsafe impl<T> Sync for BioSet<T> {}

impl<T: BioTarget> BioSet<T> {
    /// Creates a pool. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(|set: *mut bindings::bio_set| {
                // SAFETY: `set` is valid for writes; a bio set starts from zeroes.
                unsafe { set.write_bytes(0, 1) };
                // SAFETY: As above; it stays where it is, since it is pinned.
                to_result(unsafe {
                    bindings::bioset_init(
                        set,
                        POOL_SIZE,
                        Head::<T>::PAD as u32,
                        (bindings::BIOSET_NEED_BVECS | bindings::EXT_BIOSET_PERCPU_CACHE) as i32,
                    )
                })
            }),
            _target: PhantomData,
        })
    }
}

impl<T: BioTarget> HeadBio<T> {
    /// Allocates the head of a request, for up to `nr_vecs` segments.
    ///
    /// Sleeps unless `nowait`.
    ///
    /// # Errors
    ///
    /// Gives the kiocb back if there is no memory, which can only be if `nowait`.
    pub fn new(
        kiocb: Kiocb<T>,
        nr_vecs: u16,
        opf: Opf,
        nowait: bool,
        data: T::Data,
    ) -> Result<Self, Kiocb<T>> {
        let gfp = if nowait {
            bindings::GFP_NOWAIT
        } else {
            bindings::GFP_KERNEL
        };
        let (set, device) = (kiocb.target().bio_set(), kiocb.target().device());
        // SAFETY: By the type invariant of `BioSet`. The device is the file's, which the kiocb
        // holds.
        let bio = unsafe {
            bindings::bio_alloc_bioset(device.as_ptr(), nr_vecs, opf.0, gfp, set.set.get())
        };
        let Some(bio) = NonNull::new(bio) else {
            return Err(kiocb);
        };
        // SAFETY: The bio has just been allocated from a set with room for a head before it, and
        // is ours. The set outlives it: it lives in the target, which the kiocb holds.
        Ok(unsafe { Self::init(bio, kiocb, data) })
    }
}

#[pinned_drop]
impl<T> PinnedDrop for BioSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is initialized, and no bio of it is left.
        unsafe { bindings::bioset_exit(self.set.get()) };
    }
}
