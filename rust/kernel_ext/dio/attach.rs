// SPDX-License-Identifier: GPL-2.0

//! Taking over the direct I/O of mounted file systems.
//!
//! While anything is attached, `iomap_dio_rw()` is redirected. A trampoline looks the super block of
//! each request up. If it is attached, its [`Engine`] gets the request, and either takes it, or
//! passes it on to the kernel's own `iomap_dio_rw()`.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

use core::{
    ffi::c_void,
    marker::PhantomPinned,
    ptr::NonNull, //
};

use kernel::{
    error::{
        code::EIOCBQUEUED,
        to_result, //
    },
    ffi::c_uint,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use super::{
    call::DioCall,
    engine::{
        take,
        Engine,
        Taken, //
    }, //
};
use crate::{
    bindings,
    context::{
        MayIo,
        MaySleep, //
    },
    fs::{
        kiocb::to_ki_result,
        mount::OpenMount,
        Issued,
        Kiocb, //
    },
    ftrace::Redirect,
    iov::{
        Keeper,
        RawIovIter, //
    },
    percpu_ref::Counted,
};

/// The redirection of `iomap_dio_rw()`, which is there while anything is attached.
#[pin_data]
pub struct Redirection {
    /// The redirection, and how many are attached.
    #[pin]
    state: Mutex<(Option<Redirect>, usize)>,
}

impl Redirection {
    /// Creates the object. Nothing is redirected yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!((None, 0)),
            }),
            GFP_KERNEL,
        )
    }

    fn get(&self) -> Result {
        let mut state = self.state.lock();
        if state.0.is_none() {
            // SAFETY: The trampoline is made for this function.
            let redirect = unsafe {
                Redirect::new(
                    &[bindings::ext_iomap_dio_rw()],
                    bindings::ext_dio_rw_trampoline as *mut c_void,
                )
            }?;
            state.0 = Some(redirect);
        }
        state.1 += 1;
        Ok(())
    }

    fn put(&self) {
        let mut state = self.state.lock();
        state.1 -= 1;
        if state.1 == 0 {
            state.0 = None;
        }
    }
}

/// A super block whose requests an engine takes, until this is dropped.
///
/// The drop sleeps until all requests are complete that the engine has taken. Requests that begin
/// in the meantime are those of the kernel's own code.
///
/// # Invariants
///
/// `inner` is in the table of attached super blocks, and `redirection` counts it.
pub struct Attachment<T: Engine> {
    inner: Pin<KBox<Inner<T>>>,
    redirection: Arc<Redirection>,
}

/// What the table of attached super blocks refers to.
#[repr(C)]
struct Inner<T> {
    taker: bindings::ext_dio_taker,
    engine: Pin<KBox<Counted<T>>>,
    mount: OpenMount,
    _pin: PhantomPinned,
}

// SAFETY: The taker only has the address of a function.
unsafe impl<T: Send + Sync> Send for Inner<T> {}

// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Inner<T> {}

impl<T: Engine> Attachment<T> {
    /// Has `engine` take the direct I/O of the file system of `mount`, which stays mounted. Sleeps.
    ///
    /// # Errors
    ///
    /// - `EOPNOTSUPP`: this kernel cannot redirect functions.
    /// - `EBUSY`: the file system is attached already, or another user has redirected
    ///   `iomap_dio_rw()`.
    /// - `ENOSPC`: too many file systems are attached.
    /// - `ENOMEM`.
    pub fn new(
        mount: OpenMount,
        engine: Pin<KBox<Counted<T>>>,
        redirection: &Arc<Redirection>,
    ) -> Result<Self> {
        let inner = KBox::pin(
            Inner {
                taker: bindings::ext_dio_taker { rw: Some(rw::<T>) },
                engine,
                mount,
                _pin: PhantomPinned,
            },
            GFP_KERNEL,
        )?;
        redirection.get()?;
        let taker = (&raw const inner.taker).cast_mut();
        // SAFETY: The super block stays as long as the mount is open. The object does not move, and
        // is taken from the table before it is freed.
        let ret = to_result(unsafe { bindings::ext_dio_attach(inner.mount.super_block(), taker) });
        if let Err(err) = ret {
            redirection.put();
            return Err(err);
        }
        // INVARIANT: It has been entered and counted.
        Ok(Self {
            inner,
            redirection: redirection.clone(),
        })
    }

    /// Returns the engine.
    pub fn engine(&self) -> &T {
        &self.inner.engine
    }

    /// Returns the mount.
    pub fn mount(&self) -> &OpenMount {
        &self.inner.mount
    }
}

impl<T: Engine> Drop for Attachment<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_dio_detach(self.inner.mount.super_block()) };
        self.inner.engine.kill(&MaySleep::new());
        self.redirection.put();
        // SAFETY: No requirements. A task that was preempted on its way back from `rw`, or from the
        // end of a request, goes on before this returns; one in an interrupt, too, because what
        // waits for tasks waits for interrupts.
        unsafe {
            bindings::ext_synchronize_rcu_tasks();
            bindings::synchronize_rcu();
        }
    }
}

/// Has the engine of `taker` carry out a request.
///
/// # Safety
///
/// For the trampoline of `iomap_dio_rw()`, with the arguments of the latter, and a `taker` that is in
/// an [`Inner<T>`].
unsafe extern "C" fn rw<T: Engine>(
    iocb: *mut bindings::kiocb,
    iter: *mut bindings::iov_iter,
    ops: *const bindings::iomap_ops,
    dops: *const bindings::iomap_dio_ops,
    flags: c_uint,
    private: *mut c_void,
    done_before: usize,
    taker: *mut bindings::ext_dio_taker,
) -> isize {
    // SAFETY: By the safety requirements of this function. It stays until this task sleeps, and from
    // the count of this user on until the request is complete.
    let engine: *const Counted<T> = unsafe { &*(*taker.cast::<Inner<T>>()).engine };
    // SAFETY: By the safety requirements of this function they are valid, and ours for the call. The
    // engine stays, as above. The issuer keeps the memory until it has the result.
    let (mut kiocb, mut iter, call) = unsafe {
        let iocb = NonNull::new_unchecked(iocb);
        let engine = NonNull::new_unchecked(Counted::inner(engine).cast_mut());
        (
            Kiocb::from_raw(iocb, engine),
            RawIovIter::from_raw(iter, Keeper(iocb.as_ptr())),
            DioCall::from_raw(
                iocb,
                (*iter).data_source,
                (ops, dops),
                flags,
                private,
                done_before,
            ),
        )
    };
    // SAFETY: The engine comes from there, and the request is new.
    if !unsafe { kiocb.try_begin_user() } {
        kiocb.into_raw();
        return PASSED;
    }
    let (kiocb, ret) = match take(kiocb, &mut iter, &call, &MayIo::new()) {
        Taken::Issued(Issued::Queued) => return EIOCBQUEUED.to_errno() as isize,
        Taken::Issued(Issued::Done(kiocb, ret)) => (kiocb, to_ki_result(ret)),
        Taken::Passed(kiocb) => (kiocb, PASSED),
    };
    // The caller gets it back. The engine may be gone after this.
    kiocb.into_raw();
    ret
}

/// The result that leaves a request to the kernel's own code.
const PASSED: isize = bindings::EXT_DIO_RW_PASSED;

#[kunit_tests(rnull_dio_attach)]
mod tests {
    use super::*;

    /// Calls the trampoline for a file of a super block that is not attached. With nothing above it
    /// on the stack, it returns here.
    fn look_up() {
        // SAFETY: All fields may be zero.
        let mut inode: bindings::inode = unsafe { core::mem::zeroed() };
        // Only the address counts. It is aligned as those of super blocks.
        inode.i_sb = (5usize << 11 << 20) as *mut bindings::super_block;
        // SAFETY: As above.
        let mut file: bindings::file = unsafe { core::mem::zeroed() };
        file.f_inode = &raw mut inode;
        // SAFETY: As above.
        let mut iocb: bindings::kiocb = unsafe { core::mem::zeroed() };
        iocb.ki_filp = &raw mut file;
        // SAFETY: The trampoline reads these fields, finds no taker, and returns.
        unsafe {
            let trampoline: unsafe extern "C" fn(*mut bindings::kiocb) =
                core::mem::transmute(bindings::ext_dio_rw_trampoline as *const c_void);
            trampoline(&raw mut iocb);
        }
    }

    /// After many super blocks have come and gone, no slot may be empty.
    #[test]
    fn the_table_is_searched_once() {
        look_up();
        // SAFETY: Nothing is attached while KUnit runs.
        unsafe { bindings::ext_dio_set_slots(false) };
        look_up();
        // SAFETY: As above.
        unsafe { bindings::ext_dio_set_slots(true) };
    }

    /// Slots become empty again when nothing lies behind them.
    #[test]
    fn slots_are_used_again() {
        let mut taker = bindings::ext_dio_taker { rw: None };
        // All have the same first slot.
        let blocks = [1usize, 2, 3].map(|i| (i << 11 << 20) as *mut bindings::super_block);
        // SAFETY: No requirements.
        let used = || unsafe { bindings::ext_dio_used_slots() };
        let mut attach = |block| {
            // SAFETY: The table does not access what it points to, and has it until the detach.
            to_result(unsafe { bindings::ext_dio_attach(block, &raw mut taker) })
        };
        for block in blocks {
            assert_eq!(attach(block), Ok(()));
        }
        assert_eq!(attach(blocks[1]), Err(EBUSY));
        for (block, left) in [(blocks[0], 3), (blocks[2], 2), (blocks[1], 0)] {
            // SAFETY: It is attached.
            unsafe { bindings::ext_dio_detach(block) };
            assert_eq!(used(), left);
        }
    }
}
