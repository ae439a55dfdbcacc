// SPDX-License-Identifier: GPL-2.0

//! Contexts: a ring that a process has mapped, and what belongs to it.
//!
//! A context is the private data of an anonymous file. What refers to what:
//!
//! - The mapping refers to the file.
//! - Calls and requests under way are users of the context. When it has been killed and has no
//!   users any more, it drops its own reference to the file.
//! - The release of the file frees the context.
//!
//! It is killed once: by `io_destroy(2)`, or when its mapping goes, which is also how the exit of
//! its process ends it. No count and no lifetime depends on what user space can write.

use core::{
    ffi::c_void,
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ops::Deref,
    ptr::{
        null_mut,
        NonNull, //
    },
};

use kernel::{
    error::from_err_ptr,
    ffi::{
        c_int,
        c_ulong, //
    },
    module::{
        this_module,
        ModuleMetadata, //
    },
    prelude::*,
    sync::{
        atomic::{
            ordering::{
                Full,
                Relaxed, //
            },
            Atomic, //
        },
        Arc, //
    },
};

use super::{
    ring::Ring,
    table::{
        Link,
        Linked,
        Table, //
    },
    users::Users, //
};
use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
};

/// What belongs to a context besides its ring.
pub trait ContextData: Sized + Send + Sync + 'static {
    /// The module that has the code.
    type Module: ModuleMetadata + 'static;

    /// Called once, when the context is killed: no call and no request is let in any more. Those
    /// under way must end soon. May sleep, but must not wait for them.
    fn killed(context: &Context<Self>);
}

/// A context.
///
/// # Invariants
///
/// - It is in `table`, unless it is `dead`. The owner in the table is `owner`.
/// - `file` has this object as its private data.
/// - `owner` was the memory of the process that has mapped the ring. It may be gone if `dead`.
#[pin_data]
pub struct Context<T> {
    #[pin]
    users: Users,
    ring: Ring,
    owner: *mut bindings::mm_struct,
    /// Where the ring is mapped, in bytes.
    address: Atomic<usize>,
    /// The number of mappings of the ring in `owner`: one, unless it is being moved or was split.
    vmas: Atomic<usize>,
    dead: Atomic<bool>,
    file: Atomic<*mut bindings::file>,
    link: Link<Self>,
    table: Arc<Table<Self>>,
    #[pin]
    data: T,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: A context belongs to no thread.
unsafe impl<T: ContextData> Send for Context<T> {}

// SAFETY: What changes is atomic, or synchronizes itself.
unsafe impl<T: ContextData> Sync for Context<T> {}

/// An address that no ring has.
const NOWHERE: usize = usize::MAX;

// SAFETY: It is a field.
unsafe impl<T: ContextData> Linked for Context<T> {
    #[inline]
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl<T: ContextData> Context<T> {
    /// Creates a context with a ring for at least `events` results, which is mapped into the current
    /// process. `data` gets the ring. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    /// - `EINTR`: the task is being killed.
    /// - Those of `data`.
    pub fn create<I: PinInit<T, Error>>(
        table: &Arc<Table<Self>>,
        events: u32,
        data: impl FnOnce(&Ring) -> I,
        _io: &MayIo,
    ) -> Result<ContextRef<T>> {
        let ring = Ring::new(events)?;
        let data = data(&ring);
        // SAFETY: No requirements.
        let owner = unsafe { bindings::ext_current_mm() };
        let context = KBox::try_pin_init(
            try_pin_init!(Self {
                users <- Users::new(),
                ring,
                owner,
                address: Atomic::new(NOWHERE),
                vmas: Atomic::new(0),
                // INVARIANT: It is not in the table yet.
                dead: Atomic::new(true),
                file: Atomic::new(null_mut()),
                link: Link::new(owner.addr()),
                table: table.clone(),
                data <- data,
                _pin: PhantomPinned,
            }? Error),
            GFP_KERNEL,
        )?;
        let this = Self::open(context)?;
        this.enter();
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
        .inspect_err(|_| {
            // SAFETY: It comes from a box, and nothing refers to it. It has been pinned, and is
            // dropped in place.
            drop(unsafe { KBox::from_raw(raw) });
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

    /// Enters the context into the table, with an address that no lookup gives.
    fn enter(&self) {
        // SAFETY: It stays until it has no users. It is removed before users are let in no more, and
        // there are some for an RCU grace period after that.
        unsafe { self.table.insert(NonNull::from(self)) };
        self.ring.set_id(self.link.id());
        // INVARIANT: It is in the table.
        self.dead.store(false, Relaxed);
    }

    /// Maps the ring into the current process.
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
        // If another task has unmapped it, the context is dead.
        self.address.store(address, Relaxed);
        Ok(())
    }

    /// Returns the context whose ring is mapped at `address` in the current process, unless it has
    /// been killed. May sleep.
    #[inline]
    pub fn find(table: &Table<Self>, address: usize) -> Option<ContextRef<T>> {
        let mut id = 0;
        // SAFETY: `id` is valid for writes; the kernel checks the address.
        if unsafe { bindings::ext_get_user_u32(&mut id, address as *const c_void) } != 0 {
            return None;
        }
        // SAFETY: No requirements.
        let owner = unsafe { bindings::ext_current_mm() };
        table.find(owner.addr(), id, |context| {
            // SAFETY: It was in the table, so that it is valid.
            let this = unsafe { context.as_ref() };
            if this.address() == address && this.users.tryget() {
                // INVARIANT: It has just been counted.
                Some(ContextRef(context))
            } else {
                None
            }
        })
    }

    /// Returns the address of the ring, by which user space names the context.
    pub fn address(&self) -> usize {
        self.address.load(Relaxed)
    }

    /// Returns the ring.
    #[inline]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Returns whether the context has been killed.
    #[inline]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }

    /// Lets no more calls and requests in. Returns whether this is the first call.
    fn kill(&self) -> bool {
        if self.dead.xchg(true, Full) {
            return false;
        }
        // SAFETY: By the type invariant it was in the table until now.
        unsafe { self.table.remove(NonNull::from(self)) };
        T::killed(self);
        // SAFETY: `dead` is set once. The file was set before it was cleared.
        unsafe { self.users.kill() };
        true
    }

    /// A mapping of the ring has gone from `mm`.
    fn unmapped(&self, mm: *mut bindings::mm_struct) {
        if mm != self.owner || self.vmas.fetch_sub(1, Full) != 1 {
            return;
        }
        // SAFETY: The caller has the memory of the process.
        let exits = !unsafe { bindings::ext_mm_has_users(mm) };
        if exits {
            self.kill_others();
        }
        self.kill();
        if exits {
            // The process exits or executes another program, and expects that its files are closed
            // then. Nothing waits for this task: the memory has no other user.
            self.users.wait(&MaySleep::new());
        }
    }

    /// Kills all contexts of the process, so that they need not be waited for one after the other.
    fn kill_others(&self) {
        let mut others = KVec::new();
        self.table.for_each_of(self.owner.addr(), |other| {
            // Without memory, it is killed when its mapping goes.
            let _ = others.push(other, GFP_KERNEL);
        });
        for other in others {
            // SAFETY: It is mapped, because only this task unmaps it, and no call destroys it: the
            // memory has no users.
            unsafe { other.as_ref() }.kill();
        }
    }
}

impl<T> Deref for Context<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.data
    }
}

/// A context that a call or a request uses, which keeps it.
///
/// # Invariants
///
/// The pointer is a context that counts this as a user.
pub struct ContextRef<T: ContextData>(NonNull<Context<T>>);

// SAFETY: A user is counted, wherever it is.
unsafe impl<T: ContextData> Send for ContextRef<T> {}

// SAFETY: As above; contexts are `Sync`.
unsafe impl<T: ContextData> Sync for ContextRef<T> {}

impl<T: ContextData> ContextRef<T> {
    /// Kills the context and unmaps its ring. Waits for its users. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it has been killed before.
    pub fn destroy(self, io: &MayIo) -> Result {
        if !self.kill() {
            return Err(EINVAL);
        }
        // SAFETY: No requirements.
        unsafe { bindings::vm_munmap(self.address(), self.ring.size()) };
        let file = self.file.load(Relaxed);
        let context = self.0;
        // SAFETY: This is a user, so that the file is open. The reference keeps the context.
        unsafe { bindings::get_file(file) };
        drop(self);
        // SAFETY: As above; the reference is given up.
        unsafe {
            context.as_ref().users.wait(io);
            bindings::fput(file);
        }
        Ok(())
    }
}

impl<T: ContextData> Clone for ContextRef<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.users.get();
        // INVARIANT: It has just been counted.
        Self(self.0)
    }
}

impl<T: ContextData> Deref for ContextRef<T> {
    type Target = Context<T>;

    #[inline]
    fn deref(&self) -> &Context<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ContextData> Drop for ContextRef<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the object is not used after this.
        unsafe { Users::put(&raw const (*self.0.as_ptr()).users) };
    }
}

/// The operations of files whose private data is a context, and of their mappings.
struct VTable<T>(PhantomData<T>);

impl<T: ContextData> VTable<T> {
    const FILE: bindings::file_operations = bindings::file_operations {
        owner: this_module::<T::Module>().as_ptr(),
        mmap: Some(Self::mmap),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    const VM: bindings::vm_operations_struct = bindings::vm_operations_struct {
        open: Some(Self::vm_open),
        close: Some(Self::vm_close),
        mremap: Some(Self::mremap),
        fault: Some(Self::fault),
        ..pin_init::zeroed()
    };

    /// Returns the context of a mapping.
    ///
    /// # Safety
    ///
    /// `vma` must be a mapping of such a file, and stay for `'a`.
    unsafe fn of_vma<'a>(vma: *const bindings::vm_area_struct) -> &'a Context<T> {
        // SAFETY: By the safety requirements of this function. The mapping keeps the file, and the
        // file the context.
        unsafe { &*(*(*vma).vm_file).private_data.cast::<Context<T>>() }
    }

    /// Maps the ring. There is one mapping.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with a mapping that it makes of such a file.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = &*(*file).private_data.cast::<Context<T>>();
            if (*vma).vm_mm != this.owner || this.vmas.cmpxchg(0, 1, Full).is_err() {
                return EINVAL.to_errno();
            }
            bindings::ext_vma_set_ring_flags(vma);
            (*vma).vm_ops = &Self::VM;
        }
        0
    }

    /// Counts a mapping that was split off or moved.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with a mapping of such a file.
    unsafe extern "C" fn vm_open(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = Self::of_vma(vma);
            if (*vma).vm_mm == this.owner {
                this.vmas.fetch_add(1, Full);
            }
        }
    }

    /// # Safety
    ///
    /// For the kernel to call, with a mapping of such a file that goes.
    unsafe extern "C" fn vm_close(vma: *mut bindings::vm_area_struct) {
        // SAFETY: By the safety requirements of this function; the file is closed after this.
        unsafe { Self::of_vma(vma).unmapped((*vma).vm_mm) };
    }

    /// Notes where the ring has been moved to.
    ///
    /// # Safety
    ///
    /// For the kernel to call, with the mapping that a mapping of such a file was moved to.
    unsafe extern "C" fn mremap(vma: *mut bindings::vm_area_struct) -> c_int {
        // SAFETY: By the safety requirements of this function.
        unsafe {
            let this = Self::of_vma(vma);
            let range = (*vma).__bindgen_anon_1.__bindgen_anon_1;
            let size = (range.vm_end - range.vm_start) as usize;
            if (*vma).vm_mm != this.owner || this.is_dead() || size != this.ring.size() {
                return EINVAL.to_errno();
            }
            this.address.store(range.vm_start as usize, Relaxed);
        }
        0
    }

    /// # Safety
    ///
    /// For the fault handler to call.
    unsafe extern "C" fn fault(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
        // SAFETY: The fault handler passes a mapping of such a file, which stays for the call.
        unsafe { Self::of_vma((*vmf).__bindgen_anon_1.vma).ring.fault(vmf) }
    }

    /// Frees the context.
    ///
    /// # Safety
    ///
    /// For the VFS to call, with such a file.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements of this function it comes from a box. It has no users,
        // because its own reference was dropped, and nothing else refers to it.
        drop(unsafe { KBox::from_raw((*file).private_data.cast::<Context<T>>()) });
        // SAFETY: The file was made by `ext_aio_getfile`.
        unsafe { bindings::ext_aio_unpin() };
        0
    }
}
