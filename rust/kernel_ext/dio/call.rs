// SPDX-License-Identifier: GPL-2.0

//! A call of `iomap_dio_rw()`: what a file system asks of direct I/O.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    error::to_result,
    ffi::c_uint,
    prelude::*, //
};

use super::{
    gate::Gated,
    kiocb::DioKiocb, //
};
use crate::{
    bindings,
    fs::iomap::Mappings, //
};

/// The arguments of `iomap_dio_rw()` beside kiocb and iterator.
///
/// # Invariants
///
/// They are those that the file system of `iocb` has called it with, which is still in the call.
pub struct DioCall<'a> {
    iocb: NonNull<bindings::kiocb>,
    /// Whether the request is a write. Not all writes have `IOCB_WRITE`.
    write: bool,
    ops: NonNull<bindings::iomap_ops>,
    dops: *const bindings::iomap_dio_ops,
    flags: u32,
    private: *mut c_void,
    done_before: usize,
    _p: PhantomData<&'a ()>,
}

impl DioCall<'_> {
    /// # Safety
    ///
    /// The type's invariants must hold for the arguments of the call, for a lifetime that the caller
    /// chooses. `write` must be whether data comes from the memory of the request.
    #[inline]
    pub(super) unsafe fn from_raw(
        iocb: NonNull<bindings::kiocb>,
        write: bool,
        ops: (*const bindings::iomap_ops, *const bindings::iomap_dio_ops),
        flags: u32,
        private: *mut c_void,
        done_before: usize,
    ) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self {
            iocb,
            write,
            // SAFETY: File systems pass mapping operations.
            ops: unsafe { NonNull::new_unchecked(ops.0.cast_mut()) },
            dops: ops.1,
            flags,
            private,
            done_before,
            _p: PhantomData,
        }
    }

    #[inline]
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Returns whether the caller waits for the request, although it may be asynchronous
    /// (`IOMAP_DIO_FORCE_WAIT`).
    #[inline]
    pub fn is_waited_for(&self) -> bool {
        self.has(bindings::IOMAP_DIO_FORCE_WAIT)
    }

    /// Returns whether only blocks that have data may be written to (`IOMAP_DIO_OVERWRITE_ONLY`).
    #[inline]
    pub fn is_overwrite_only(&self) -> bool {
        self.has(bindings::IOMAP_DIO_OVERWRITE_ONLY)
    }

    /// Returns whether the request may be cut at memory that is not there
    /// (`IOMAP_DIO_PARTIAL`).
    #[inline]
    pub fn may_be_partial(&self) -> bool {
        self.has(bindings::IOMAP_DIO_PARTIAL)
    }

    /// Returns whether bios must consist of whole blocks of the file
    /// (`IOMAP_DIO_FSBLOCK_ALIGNED`).
    #[inline]
    pub fn needs_whole_blocks(&self) -> bool {
        self.has(bindings::IOMAP_DIO_FSBLOCK_ALIGNED)
    }

    /// Returns whether there are flags that this type has no method for, `IOMAP_DIO_BOUNCE` among
    /// them.
    #[inline]
    pub fn has_other_flags(&self) -> bool {
        const KNOWN: u32 = bindings::IOMAP_DIO_FORCE_WAIT
            | bindings::IOMAP_DIO_OVERWRITE_ONLY
            | bindings::IOMAP_DIO_PARTIAL
            | bindings::IOMAP_DIO_FSBLOCK_ALIGNED;
        self.has(!KNOWN)
    }

    /// Returns the bytes that were transferred before this call, and that the result includes.
    #[inline]
    pub fn done_before(&self) -> usize {
        self.done_before
    }

    #[inline]
    fn dops(&self) -> Option<&bindings::iomap_dio_ops> {
        // SAFETY: By the type invariant it is null or valid for the call.
        unsafe { self.dops.as_ref() }
    }

    /// Returns whether the file system submits bios itself, or has a pool of its own for them.
    #[inline]
    pub fn has_bios_of_its_own(&self) -> bool {
        self.dops()
            .is_some_and(|dops| dops.submit_io.is_some() || !dops.bio_set.is_null())
    }

    /// Returns the function of the file system that is called at the end of the request.
    #[inline]
    pub fn end_io(&self) -> EndIoOp {
        // INVARIANT: By the type invariant.
        EndIoOp {
            function: self.dops().and_then(|dops| dops.end_io),
            // SAFETY: By the type invariant the kiocb and its file are valid.
            super_block: unsafe { (*(*(*self.iocb.as_ptr()).ki_filp).f_inode).i_sb },
        }
    }

    /// Returns an iteration over the mappings of `len` bytes from the position of the request on.
    #[inline(always)]
    pub fn mappings<T: Gated>(&self, kiocb: &DioKiocb<T>, len: u64) -> Result<Mappings<'_>> {
        if kiocb.as_raw() != self.iocb.as_ptr() {
            return Err(EINVAL);
        }
        let mut flags = bindings::IOMAP_DIRECT;
        if kiocb.is_nowait() {
            flags |= bindings::IOMAP_NOWAIT;
        }
        if self.write {
            flags |= bindings::IOMAP_WRITE;
            if self.is_overwrite_only() {
                flags |= bindings::IOMAP_OVERWRITE_ONLY;
            }
        }
        // SAFETY: By the type invariant; the result is borrowed from this object.
        Ok(unsafe {
            Mappings::new(
                kiocb.inode(),
                self.ops,
                (kiocb.ki_pos(), len),
                flags,
                self.private,
                kiocb.keeper(),
            )
        })
    }
}

/// What has happened to the blocks of a write, for [`EndIoOp`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EndIoFlags(u32);

impl EndIoFlags {
    /// Nothing: the blocks had data before.
    pub const NONE: Self = Self(0);
    /// Some were unwritten (`IOMAP_DIO_UNWRITTEN`).
    pub const UNWRITTEN: Self = Self(bindings::IOMAP_DIO_UNWRITTEN);
    /// Some replace shared ones (`IOMAP_DIO_COW`).
    pub const COW: Self = Self(bindings::IOMAP_DIO_COW);

    /// Returns the union.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags as a number, from which [`from_bits`](Self::from_bits) makes them again.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns the flags of which `bits` has the number. Ignores others.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & (Self::UNWRITTEN.0 | Self::COW.0))
    }
}

type EndIoFn = unsafe extern "C" fn(*mut bindings::kiocb, isize, kernel::ffi::c_int, c_uint) -> i32;

/// The function of a file system that is called at the end of a request (`->end_io`).
///
/// # Invariants
///
/// It is that of the file system of `super_block`, which may be there no more.
#[derive(Clone, Copy)]
pub struct EndIoOp {
    function: Option<EndIoFn>,
    super_block: *const bindings::super_block,
}

// SAFETY: A function may be called by any thread, and the super block is only compared.
unsafe impl Send for EndIoOp {}

// SAFETY: As above.
unsafe impl Sync for EndIoOp {}

impl EndIoOp {
    /// Returns whether there is no function.
    pub fn is_none(&self) -> bool {
        self.function.is_none()
    }

    /// Returns whether it is the same function.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.function, other.function) {
            (Some(one), Some(other)) => core::ptr::fn_addr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Calls the function for `size` bytes from the position of the request on. In a task, unless
    /// all of a write had blocks with data, within the file.
    ///
    /// # Errors
    ///
    /// That of the file system, which may be another one than `result`; `EINVAL` for a request
    /// of another file system.
    // Hot path: most requests have no function to call.
    #[inline(always)]
    pub fn call<T: Gated>(
        &self,
        kiocb: &DioKiocb<T>,
        size: usize,
        result: Result,
        flags: EndIoFlags,
    ) -> Result {
        let Some(function) = self.function else {
            return result;
        };
        // SAFETY: The inode is valid as long as the request.
        if !core::ptr::eq(unsafe { (*kiocb.inode()).i_sb }, self.super_block) {
            return Err(EINVAL);
        }
        let err = result.map_or_else(Error::to_errno, |()| 0);
        // SAFETY: By the type invariant. The file system stays as long as the request has a file of
        // it open. CAST: No request is longer than `MAX_RW_COUNT`, 2 GiB.
        to_result(unsafe { function(kiocb.as_raw(), size as isize, err, flags.0) })
    }
}
