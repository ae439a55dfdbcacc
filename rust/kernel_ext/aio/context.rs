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
//! A context is found by its process and the address of its ring, which the mapping tells. User space
//! is not read for it.
//!
//! It is killed once: by `io_destroy(2)`, or when its mapping goes, which is also how the exit of
//! its process ends it. No count and no lifetime depends on what user space can write.

use core::{
    marker::PhantomPinned,
    ops::Deref,
    ptr::NonNull, //
};

use kernel::{
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
    ModuleMetadata,
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
    slab::SlabCache, //
};

/// What belongs to a context besides its ring.
pub trait ContextData: Sized + Send + Sync + 'static {
    /// The module that has the code.
    type Module: ModuleMetadata + 'static;

    /// Called once, when the context is killed: no call and no request is let in any more. Those
    /// under way must end soon. May sleep, but must not wait for them.
    fn killed(context: &Context<Self>);
}

/// The contexts of all processes, and the memory for their requests. There can be one at a time.
///
/// # Invariants
///
/// The objects of `requests` have the layout of what is in the memory of a request.
#[pin_data]
pub struct Contexts<T: ContextData> {
    #[pin]
    pub(super) table: Table<Context<T>>,
    pub(super) requests: SlabCache,
}

/// A context.
///
/// # Invariants
///
/// - It is in the table of `contexts` from its mapping until it is `dead`, unless it is being moved.
///   The owner there is `owner`.
/// - `file` has this object as its private data.
/// - `owner` was the memory of the process that has mapped the ring. It may be gone if `dead`.
#[pin_data]
pub struct Context<T: ContextData> {
    #[pin]
    pub(super) users: Users,
    pub(super) ring: Ring,
    pub(super) owner: *mut bindings::mm_struct,
    /// The number of mappings of the ring in `owner`: one, unless it is being moved or was split.
    pub(super) vmas: Atomic<usize>,
    pub(super) dead: Atomic<bool>,
    pub(super) file: Atomic<*mut bindings::file>,
    pub(super) link: Link<Self>,
    pub(super) contexts: Arc<Contexts<T>>,
    #[pin]
    pub(super) data: T,
    #[pin]
    pub(super) _pin: PhantomPinned,
}

// SAFETY: A context belongs to no thread.
unsafe impl<T: ContextData> Send for Context<T> {}

// SAFETY: What changes is atomic, or synchronizes itself.
unsafe impl<T: ContextData> Sync for Context<T> {}

// SAFETY: It is a field.
unsafe impl<T: ContextData> Linked for Context<T> {
    #[inline]
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl<T: ContextData> Context<T> {
    /// Returns the context whose ring is mapped at `address` in the current process, unless it has
    /// been killed. Does not sleep.
    #[inline]
    pub(super) fn find(contexts: &Contexts<T>, address: usize) -> Option<ContextRef<T>> {
        // SAFETY: No requirements.
        let owner = unsafe { bindings::ext_current_mm() };
        contexts.table.find(owner.addr(), address, |context| {
            // SAFETY: It was in the table, so that it is valid.
            let this = unsafe { context.as_ref() };
            // SAFETY: This is an RCU read-side critical section.
            let counted = unsafe { this.users.tryget_rcu() };
            // INVARIANT: It has just been counted.
            counted.then(|| ContextRef(context))
        })
    }

    /// Returns the address of the ring, by which user space names the context.
    pub fn address(&self) -> usize {
        self.link.address()
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
    pub(super) fn kill(&self) -> bool {
        if self.dead.xchg(true, Full) {
            return false;
        }
        // SAFETY: It is in no other table.
        unsafe { self.contexts.table.remove(NonNull::from(self)) };
        T::killed(self);
        // SAFETY: `dead` is set once. The file is set before anything finds or maps the context.
        unsafe { self.users.kill() };
        true
    }

    /// A mapping of the ring has gone from `mm`.
    pub(super) fn unmapped(&self, mm: *mut bindings::mm_struct) {
        if mm != self.owner || self.vmas.fetch_sub(1, Full) != 1 {
            return;
        }
        // SAFETY: The caller has the memory of the process.
        let exits = !unsafe { bindings::ext_mm_has_users(mm) };
        // The first of the contexts of a process that exits kills all of them.
        if exits && !self.is_dead() {
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
        let mut others = KVVec::new();
        let table = &self.contexts.table;
        table.for_each_of(self.owner.addr(), |other| {
            // The table is locked. Without memory, it is killed when its mapping goes.
            let _ = others.push(other, GFP_NOWAIT);
        });
        for other in others {
            // SAFETY: It is mapped, because only this task unmaps it, and no call destroys it: the
            // memory has no users.
            unsafe { other.as_ref() }.kill();
        }
    }
}

impl<T: ContextData> Deref for Context<T> {
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
pub struct ContextRef<T: ContextData>(pub(super) NonNull<Context<T>>);

// SAFETY: A user is counted, wherever it is.
unsafe impl<T: ContextData> Send for ContextRef<T> {}

// SAFETY: As above; contexts are `Sync`.
unsafe impl<T: ContextData> Sync for ContextRef<T> {}

impl<T: ContextData> ContextRef<T> {
    /// Kills the context and unmaps its ring. Waits for its users. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it has been killed before, or its ring is mapped in another process.
    pub fn destroy(self, io: &MayIo) -> Result {
        // SAFETY: No requirements.
        let mm = unsafe { bindings::ext_current_mm() };
        if mm != self.owner || !self.kill() {
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
