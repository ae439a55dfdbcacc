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

    /// Returns the function to be called at the end of `kiocb`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is another request.
    #[inline]
    pub(super) fn end_io_of<T: Gated>(&self, kiocb: &DioKiocb<T>) -> Result<EndIoOp> {
        if !self.is_of(kiocb) {
            return Err(EINVAL);
        }
        Ok(EndIoOp(self.dops().and_then(|dops| dops.end_io)))
    }

    /// Returns whether there is a function to be called at the end of the request (`->end_io`).
    #[inline]
    pub fn has_end_io(&self) -> bool {
        self.dops().is_some_and(|dops| dops.end_io.is_some())
    }

    /// Tells the file system that a request without bios has ended, for `size` bytes from its
    /// position on (`->end_io`). In a task.
    ///
    /// # Errors
    ///
    /// That of the file system, which may be another one than `result`; without such a function,
    /// that of `result`; `EINVAL` for another request.
    pub fn end<T: Gated>(
        &self,
        kiocb: &DioKiocb<T>,
        size: usize,
        result: Result,
        flags: EndIoFlags,
    ) -> Result {
        let end_io = self.end_io_of(kiocb)?;
        // SAFETY: By the type invariant, as this is the request.
        unsafe { end_io.call(kiocb, size, result, flags) }
    }

    /// Returns whether `kiocb` is the request that the file system has made the call for.
    #[inline]
    fn is_of<T: Gated>(&self, kiocb: &DioKiocb<T>) -> bool {
        kiocb.as_raw() == self.iocb.as_ptr()
    }

    /// Returns an iteration over the mappings of `len` bytes from the position of the request on.
    #[inline(always)]
    pub fn mappings<T: Gated>(&self, kiocb: &DioKiocb<T>, len: u64) -> Result<Mappings<'_>> {
        if !self.is_of(kiocb) {
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

/// What has happened to the blocks of a write, for the file system (`->end_io`).
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

/// A file system's function to be called at the end of a request (`->end_io`), if there is one.
#[derive(Clone, Copy)]
pub(super) struct EndIoOp(Option<EndIoFn>);

impl EndIoOp {
    /// Returns whether it is the same function.
    pub(super) fn is_same(self, other: Self) -> bool {
        match (self.0, other.0) {
            (Some(one), Some(other)) => core::ptr::fn_addr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }

    /// Calls the function, see [`DioCall::end`]; without one, returns `result`.
    ///
    /// # Safety
    ///
    /// The file system of `kiocb` must have passed the function on in its call for `kiocb`.
    // Hot path: most requests have no function to call.
    #[inline(always)]
    pub(super) unsafe fn call<T: Gated>(
        self,
        kiocb: &DioKiocb<T>,
        size: usize,
        result: Result,
        flags: EndIoFlags,
    ) -> Result {
        let Some(function) = self.0 else {
            return result;
        };
        let err = result.map_or_else(Error::to_errno, |()| 0);
        // SAFETY: By the safety requirements of this function. The file system stays as long as the
        // request has a file of it open. CAST: No request is longer than `MAX_RW_COUNT`, 2 GiB.
        to_result(unsafe { function(kiocb.as_raw(), size as isize, err, flags.0) })
    }
}
