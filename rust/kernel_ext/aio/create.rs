// SPDX-License-Identifier: GPL-2.0

//! Making contexts.

use core::{
    alloc::Layout,
    ffi::c_void,
    marker::PhantomPinned,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    error::from_err_ptr,
    ffi::c_ulong,
    prelude::*,
    sync::{
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        Arc, //
    },
};

use super::{
    context::{
        Context,
        ContextData,
        ContextRef,
        Contexts, //
    },
    file::VTable,
    memory::Inner,
    ring::Ring,
    table::{
        Link,
        Table, //
    },
    users::Users, //
};
use crate::{
    bindings,
    context::MayIo,
    slab::SlabCache, //
};

impl<T: ContextData> Contexts<T> {
    /// Creates the object, without contexts. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Arc<Self>> {
        Arc::try_pin_init(
            try_pin_init!(Self {
                table <- Table::new(),
                requests: SlabCache::new(c"rnull_dio_aio_request", Layout::new::<Inner<T>>())?,
            }? Error),
            GFP_KERNEL,
        )
    }
}

impl<T: ContextData> Context<T> {
    /// Creates a context with a ring for at least `events` results, which is mapped into the current
    /// process. `data` gets the ring. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the task is a kernel thread.
    /// - `ENOMEM`.
    /// - `ENODEV`: the module is being unloaded.
    /// - `EINTR`: the task is being killed.
    /// - Those of `data`.
    pub fn create<I: PinInit<T, Error>>(
        contexts: &Arc<Contexts<T>>,
        events: u32,
        data: impl FnOnce(&Ring) -> I,
        _io: &MayIo,
    ) -> Result<ContextRef<T>> {
        // SAFETY: No requirements.
        let owner = unsafe { bindings::ext_current_mm() };
        if owner.is_null() {
            return Err(EINVAL);
        }
        let ring = Ring::new(events)?;
        let data = data(&ring);
        let context = KBox::try_pin_init(
            try_pin_init!(Self {
                users <- Users::new(),
                ring,
                owner,
                vmas: Atomic::new(0),
                // INVARIANT: It is not mapped yet.
                dead: Atomic::new(false),
                file: Atomic::new(null_mut()),
                link: Link::new(owner.addr()),
                contexts: contexts.clone(),
                data <- data,
                _pin: PhantomPinned,
            }? Error),
            GFP_KERNEL,
        )?;
        let this = Self::open(context)?;
        this.map()?;
        Ok(this)
    }

    /// Makes the context the private data of a new file.
    fn open(context: Pin<KBox<Self>>) -> Result<ContextRef<T>> {
        let raw = KBox::into_raw(
            // SAFETY: The object does not move: it is only pointed to from here on.
            unsafe { Pin::into_inner_unchecked(context) },
        );
        // SAFETY: The operations are those of files whose private data is such an object.
        let file = from_err_ptr(unsafe {
            bindings::ext_aio_getfile(
                &VTable::<T>::FILE,
                raw.cast(),
                // CAST: It has less than 2^31 results.
                (*raw).ring.size() as bindings::loff_t,
            )
        })
        .map_err(|err| {
            // SAFETY: It comes from a box, and nothing refers to it. It has been pinned, and is
            // dropped in place.
            drop(unsafe { KBox::from_raw(raw) });
            if err == ENODEV {
                ENODEV
            } else {
                ENOMEM
            }
        })?;
        // SAFETY: The object is valid until the file is released.
        let this = unsafe { &*raw };
        // INVARIANT: It is its private data.
        this.file.store(file, Relaxed);
        // SAFETY: The reference is that of the file that was just opened.
        unsafe { this.users.set_file(file) };
        this.users.get();
        // INVARIANT: It has just been counted.
        Ok(ContextRef(NonNull::from(this)))
    }

    /// Maps the ring into the current process. If another task has unmapped it when this returns, the
    /// context is dead.
    fn map(&self) -> Result {
        // SAFETY: The file is open, because this is a user.
        let address = unsafe {
            bindings::vm_mmap(
                self.file.load(Relaxed),
                0,
                self.ring.size(),
                // CAST: Bits.
                (bindings::PROT_READ | bindings::PROT_WRITE) as c_ulong,
                bindings::MAP_SHARED as c_ulong,
                0,
            )
        };
        if let Err(err) = from_err_ptr(address as *mut c_void) {
            self.kill();
            return Err(if err == EINTR { EINTR } else { ENOMEM });
        }
        Ok(())
    }
}
