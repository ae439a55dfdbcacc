// SPDX-License-Identifier: GPL-2.0

//! The head of a request: its state, and its first bio, in one allocation from a pool.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use core::{
    marker::PhantomData,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    error::to_result,
    ffi::c_void,
    prelude::*,
    sync::atomic::Atomic,
    types::Opaque, //
};

use super::{
    call::EndIoOp,
    gate::Gated,
    issuer::Issuer,
    kiocb::DioKiocb, //
};
use crate::{
    bindings,
    block::bio::{
        BioMut,
        Opf,
        MAX_VECS, //
    },
};

/// The target of direct I/O requests: a file, or all attached files of a file system. A request
/// carries a pointer to it, see [`Kiocb`](crate::fs::Kiocb).
pub trait DioTarget: Gated + Sized + Send + Sync + 'static {
    /// The state of a request.
    type State: Send + Sync + 'static;

    /// Whether requests may be handed over to their issuers. If not, they stay counted, and may be
    /// handed over to an issuer that waits for nothing but results.
    const DEFERS: bool;

    /// Returns the pool that requests are allocated from. Always the same.
    fn bio_set(&self) -> &BioSet<Self>;
}

/// The head of a request, which lies before its first bio.
///
/// # Invariants
///
/// The file system of `kiocb` has passed `end_io` on in its call for `kiocb`.
pub(super) struct Head<T: DioTarget> {
    /// References: one for the submitter and one for each bio in flight.
    pub(super) refs: Atomic<i32>,
    /// The issuer that sleeps for the request and takes it when the last bio has ended; null if the
    /// issuer does not sleep.
    pub(super) waiter: Atomic<*mut bindings::task_struct>,
    /// For lists of requests, and for `kiocb->dio_complete`.
    pub(super) link: *mut c_void,
    /// The issuer; `Plain` if the request must be freed without the help of the issuer's task.
    pub(super) issuer: Issuer,
    pub(super) kiocb: DioKiocb<T>,
    pub(super) end_io: EndIoOp,
    pub(super) state: T::State,
}

impl<T: DioTarget> Head<T> {
    /// The bytes from the start of the head to its bio: the size of the head, rounded up so that
    /// the bio begins with a cache line.
    const PAD: usize = {
        // The slab aligns objects to at least this.
        assert!(align_of::<Self>() <= 8);
        size_of::<Self>().next_multiple_of(64)
    };

    #[inline]
    pub(super) fn bio(head: NonNull<Self>) -> NonNull<bindings::bio> {
        // SAFETY: The bio lies in the same allocation.
        unsafe { head.byte_add(Self::PAD) }.cast()
    }

    /// Allocates a head and its bio, for up to `nr_vecs` segments.
    ///
    /// Sleeps unless `nowait`.
    ///
    /// # Errors
    ///
    /// Returns the kiocb if there is no memory, which happens only if `nowait`.
    ///
    /// # Safety
    ///
    /// `device` must be valid until the kiocb is completed. The file system of `kiocb` must have
    /// passed `end_io` on in its call for `kiocb`.
    #[inline]
    pub(super) unsafe fn new(
        kiocb: DioKiocb<T>,
        end_io: EndIoOp,
        device: *mut bindings::block_device,
        nr_vecs: u16,
        opf: Opf,
        nowait: bool,
        state: T::State,
    ) -> Result<NonNull<Self>, DioKiocb<T>> {
        let set = kiocb.target().bio_set();
        let (bio, issuer) =
            // SAFETY: By the safety requirements of this function.
            match unsafe { set.alloc(device, nr_vecs, opf, bindings::EXT_GFP_NO_RESERVE) } {
                // An issuer that polls is asked for, too.
                Some(bio) if T::DEFERS || kiocb.is_hipri() => (bio, kiocb.issuer()),
                Some(bio) => {
                    let issuer = kiocb.issuer_of_counted();
                    (bio, issuer)
                }
                None if nowait => return Err(kiocb),
                // SAFETY: As above.
                None => unsafe {
                    (
                        set.alloc_from_reserve(device, nr_vecs, opf),
                        Issuer::Plain,
                    )
                },
            };
        // SAFETY: Bios of this set have this much room before them.
        let head = unsafe { bio.byte_sub(Self::PAD) }.cast::<Self>();
        let (ioprio, write_hint) = kiocb.hints();
        // SAFETY: The bio is new, exclusively ours, and without segments.
        unsafe { BioMut::from_raw(bio) }.set_hints(ioprio, write_hint);
        // INVARIANT: By the safety requirements of this function.
        // SAFETY: The memory is ours and large enough, and aligned as `PAD` asserts.
        unsafe {
            head.write(Self {
                refs: Atomic::new(0),
                waiter: Atomic::new(null_mut()),
                link: null_mut(),
                issuer,
                kiocb,
                end_io,
                state,
            })
        };
        Ok(head)
    }

    /// Frees a head and its bio, with the pins on its pages, and returns the request.
    ///
    /// # Safety
    ///
    /// Head and bio must be exclusively the caller's, and are given up.
    // Hot path: the call would cost as much as the body.
    #[inline(always)]
    pub(super) unsafe fn free(head: NonNull<Self>) -> DioKiocb<T> {
        let bio = Self::bio(head);
        // SAFETY: By the safety requirements of this function.
        unsafe { BioMut::from_raw(bio) }.release_pages();
        // SAFETY: As above; the head is not used after this.
        let Self {
            mut kiocb, state, ..
        } = unsafe { head.read() };
        drop(state);
        kiocb.clear_polled_bio();
        // SAFETY: As above, and no poller finds it any more. The set stays as long as the target,
        // which stays as long as the kiocb.
        unsafe { bindings::bio_put(bio.as_ptr()) };
        kiocb
    }

    /// As [`free`](Self::free), for a request that is not submitted, or is lost.
    ///
    /// # Safety
    ///
    /// As for [`free`](Self::free).
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn free_unused(head: NonNull<Self>) -> DioKiocb<T> {
        // SAFETY: By the safety requirements of this function.
        unsafe { Self::free(head) }
    }
}

/// The number of heads in the reserve of a pool.
const RESERVE: u32 = 4;

/// A pool of heads, with a per-CPU cache in front and a reserve for when memory is short.
///
/// The reserve is replenished by requests that end, so a request that was allocated from it must
/// end without the help of a task which may itself be waiting for the reserve. Such a request is
/// neither handed over nor polled for. A read among them may still wait for page locks of its reader,
/// like the bios of the kernel's own pool.
///
/// # Invariants
///
/// The inner `struct bio_set` is initialized, with [`Head::PAD`] bytes in front of each bio.
#[pin_data(PinnedDrop)]
pub struct BioSet<T> {
    #[pin]
    set: Opaque<bindings::bio_set>,
    /// Whether allocations fail that are not from the reserve.
    #[cfg(CONFIG_KUNIT)]
    exhausted: Atomic<bool>,
    _p: PhantomData<fn(T)>,
}

// SAFETY: A bio set may be used and freed by any thread.
unsafe impl<T> Send for BioSet<T> {}

// SAFETY: Allocation synchronizes itself.
unsafe impl<T> Sync for BioSet<T> {}

impl<T: DioTarget> BioSet<T> {
    /// Creates a pool. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(|set: *mut bindings::bio_set| {
                // SAFETY: `set` is valid for writes; a bio set starts from zeroes.
                unsafe { set.write_bytes(0, 1) };
                // SAFETY: As above; it does not move, because it is pinned.
                to_result(unsafe {
                    bindings::bioset_init(
                        set,
                        RESERVE,
                        // CAST: Some hundred bytes.
                        Head::<T>::PAD as u32,
                        (bindings::BIOSET_NEED_BVECS | bindings::EXT_BIOSET_PERCPU_CACHE) as i32,
                    )
                })
            }),
            #[cfg(CONFIG_KUNIT)]
            exhausted: Atomic::new(false),
            _p: PhantomData,
        })
    }

    /// Allocates a bio with room for a head before it.
    ///
    /// # Safety
    ///
    /// `device` must be valid as long as the bio.
    #[inline]
    unsafe fn alloc(
        &self,
        device: *mut bindings::block_device,
        nr_vecs: u16,
        opf: Opf,
        gfp: bindings::gfp_t,
    ) -> Option<NonNull<bindings::bio>> {
        #[cfg(CONFIG_KUNIT)]
        if gfp == bindings::EXT_GFP_NO_RESERVE
            && self.exhausted.load(kernel::sync::atomic::ordering::Relaxed)
        {
            return None;
        }
        // The C function has a `BUG()` for more than `BIO_MAX_VECS`.
        let nr_vecs = nr_vecs.min(MAX_VECS);
        // SAFETY: By the type invariant, and the safety requirements of this function.
        NonNull::new(unsafe {
            bindings::bio_alloc_bioset(device, nr_vecs, opf.as_raw(), gfp, self.set.get())
        })
    }

    /// As [`alloc`](Self::alloc), but sleeps until there is a bio.
    ///
    /// # Safety
    ///
    /// As for [`alloc`](Self::alloc).
    #[cold]
    unsafe fn alloc_from_reserve(
        &self,
        device: *mut bindings::block_device,
        nr_vecs: u16,
        opf: Opf,
    ) -> NonNull<bindings::bio> {
        // SAFETY: By the safety requirements of this function.
        let bio = unsafe { self.alloc(device, nr_vecs, opf, bindings::GFP_KERNEL) };
        // SAFETY: With a pool behind it and permission to sleep, the allocation succeeds.
        unsafe { bio.unwrap_unchecked() }
    }

    /// Sets whether requests are allocated from the reserve, as when memory is short.
    #[cfg(CONFIG_KUNIT)]
    pub fn set_exhausted(&self, exhausted: bool) {
        self.exhausted
            .store(exhausted, kernel::sync::atomic::ordering::Relaxed);
    }
}

#[pinned_drop]
impl<T> PinnedDrop for BioSet<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is initialized. No bio of it is left, because each
        // belongs to a request whose target has the set.
        unsafe { bindings::bioset_exit(self.set.get()) };
    }
}
