// SPDX-License-Identifier: GPL-2.0

//! Files for tests, whose mappings are made in Rust.
//!
//! C header: [`include/linux/iomap.h`](srctree/include/linux/iomap.h)

use core::ptr::{
    null,
    null_mut,
    NonNull, //
};

use kernel::{
    error::{
        from_err_ptr,
        from_result, //
    },
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::Arc, //
};

use super::{
    mapping::TestMapping,
    options::union, //
};
use crate::{
    bindings,
    block::BlockDevice,
    context::MayIo,
    dio::{
        engine::{
            take,
            Engine,
            Taken, //
        },
        DioCall,
        EndIoFlags, //
    },
    fs::{
        Issued,
        Kiocb, //
    },
    iov::RawIovIter, //
};

/// What a mapping is for (`IOMAP_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeginFlags {
    /// `IOMAP_DIRECT`.
    pub direct: bool,
    /// `IOMAP_WRITE`.
    pub write: bool,
    /// `IOMAP_NOWAIT`.
    pub nowait: bool,
    /// `IOMAP_OVERWRITE_ONLY`.
    pub overwrite_only: bool,
    /// Any other.
    pub other: bool,
}

impl BeginFlags {
    fn new(flags: u32) -> Self {
        const KNOWN: u32 = bindings::IOMAP_DIRECT
            | bindings::IOMAP_WRITE
            | bindings::IOMAP_NOWAIT
            | bindings::IOMAP_OVERWRITE_ONLY;
        Self {
            direct: flags & bindings::IOMAP_DIRECT != 0,
            write: flags & bindings::IOMAP_WRITE != 0,
            nowait: flags & bindings::IOMAP_NOWAIT != 0,
            overwrite_only: flags & bindings::IOMAP_OVERWRITE_ONLY != 0,
            other: flags & !KNOWN != 0,
        }
    }
}

/// The operations of a file, made by a test.
pub trait TestMappings: Send + Sync + 'static {
    /// Returns the device that mappings lie on.
    fn device(&self) -> &BlockDevice;

    /// Returns the mapping of `len` bytes at `pos` (`->iomap_begin`). The mapping must contain `pos`.
    ///
    /// # Errors
    ///
    /// Any.
    fn begin(&self, pos: u64, len: u64, flags: BeginFlags) -> Result<TestMapping>;

    /// Finishes a mapping, of which `written` bytes have been processed (`->iomap_end`).
    ///
    /// # Errors
    ///
    /// Any.
    fn end(&self, pos: u64, len: u64, written: u64) -> Result;

    /// Ends a request of `size` bytes at `pos`, with its error (`->end_io`).
    ///
    /// # Errors
    ///
    /// Any.
    fn end_io(&self, pos: u64, size: usize, error: Result, flags: EndIoFlags) -> Result;

    /// Makes the file durable (`->fsync`).
    ///
    /// # Errors
    ///
    /// Any.
    fn sync(&self, io: &MayIo) -> Result;
}

/// What a file system asks of `iomap_dio_rw()`.
#[derive(Clone, Copy, Default)]
pub struct CallOptions {
    /// `IOMAP_DIO_FORCE_WAIT`.
    pub force_wait: bool,
    /// `IOMAP_DIO_OVERWRITE_ONLY`.
    pub overwrite_only: bool,
    /// `IOMAP_DIO_PARTIAL`.
    pub partial: bool,
    /// `IOMAP_DIO_FSBLOCK_ALIGNED`.
    pub whole_blocks: bool,
    /// `IOMAP_DIO_BOUNCE`.
    pub bounce: bool,
    /// Whether the file system submits bios itself (`->submit_io`). Nothing calls it.
    pub submit_io: bool,
    /// Whether there is no `struct iomap_dio_ops`.
    pub without_dio_ops: bool,
    /// The bytes that were transferred before.
    pub done_before: usize,
}

/// Keeps what the operations of a file need.
pub(super) trait KeepsFile: Send + Sync {}

impl<M: TestMappings> KeepsFile for MappedFile<M> {}

/// A file whose mappings are made by a test.
///
/// # Invariants
///
/// `file` is a file in memory, to which this object has a reference, and whose inode's `i_private` is
/// `maps`.
pub struct MappedFile<M> {
    file: NonNull<bindings::file>,
    /// The operations that the file had.
    f_op: *const bindings::file_operations,
    maps: Arc<M>,
}

// SAFETY: Files may be used and freed by any thread, and so may `M`.
unsafe impl<M: TestMappings> Send for MappedFile<M> {}

// SAFETY: As above.
unsafe impl<M: TestMappings> Sync for MappedFile<M> {}

impl<M: TestMappings> MappedFile<M> {
    const OPS: bindings::iomap_ops = bindings::iomap_ops {
        iomap_begin: Some(Self::begin),
        iomap_end: Some(Self::end),
        iomap_next: None,
    };

    const DIO_OPS: bindings::iomap_dio_ops = bindings::iomap_dio_ops {
        end_io: Some(Self::end_io),
        submit_io: None,
        bio_set: null_mut(),
    };

    const SUBMITTING: bindings::iomap_dio_ops = bindings::iomap_dio_ops {
        end_io: None,
        submit_io: Some(Self::submit_io),
        bio_set: null_mut(),
    };

    const FILE_OPERATIONS: bindings::file_operations = bindings::file_operations {
        fsync: Some(Self::fsync),
        ..pin_init::zeroed()
    };

    /// Creates a file of `size` bytes. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new(size: u64, maps: Arc<M>) -> Result<Self> {
        // SAFETY: No requirements. CAST: Sizes of files fit.
        let file = from_err_ptr(unsafe { bindings::ext_memory_file(size as bindings::loff_t) })?;
        // SAFETY: The file is ours, and the file system does not use the field.
        let f_op = unsafe {
            (*(*file).f_inode).i_private = Arc::as_ptr(&maps).cast_mut().cast();
            core::mem::replace(&mut (*file).f_op, &Self::FILE_OPERATIONS)
        };
        // INVARIANT: As above.
        Ok(Self {
            file: NonNull::new(file).ok_or(ENOMEM)?,
            f_op,
            maps,
        })
    }

    /// Returns the operations.
    pub fn maps(&self) -> &M {
        &self.maps
    }

    /// Returns the file with a reference for the caller.
    pub(super) fn get(&self) -> *mut bindings::file {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_get_file(self.file.as_ptr()) }
    }

    /// Carries out a request on the file, as its file system would by `iomap_dio_rw()`. A request
    /// that is passed on fails with `EOPNOTSUPP`.
    ///
    /// # Panics
    ///
    /// If the request has another file.
    pub fn rw<T: Engine>(
        &self,
        kiocb: Kiocb<T>,
        iter: &mut RawIovIter<'_>,
        options: &CallOptions,
        io: &MayIo,
    ) -> Issued<T> {
        // SAFETY: The request is valid.
        let file = unsafe { (*kiocb.as_raw()).ki_filp };
        assert!(file == self.file.as_ptr(), "the request has another file");
        let dops = if options.without_dio_ops {
            null()
        } else if options.submit_io {
            &Self::SUBMITTING
        } else {
            &Self::DIO_OPS
        };
        // SAFETY: The operations are those of the file, by the type invariant, and constant. The
        // request is in the call until this returns.
        let call = unsafe {
            DioCall::from_raw(
                NonNull::new_unchecked(kiocb.as_raw()),
                iter.is_source(),
                (&Self::OPS, dops),
                options.flags(),
                null_mut(),
                options.done_before,
            )
        };
        match take(kiocb, iter, &call, io) {
            Taken::Issued(issued) => issued,
            Taken::Passed(kiocb) => Issued::Done(kiocb, Err(EOPNOTSUPP)),
        }
    }

    /// # Safety
    ///
    /// `inode` must be that of such a file, which the caller keeps.
    unsafe fn of<'a>(inode: *mut bindings::inode) -> &'a M {
        // SAFETY: By the safety requirements of this function, and the type invariant.
        unsafe { &*(*inode).i_private.cast() }
    }

    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn begin(
        inode: *mut bindings::inode,
        pos: bindings::loff_t,
        len: bindings::loff_t,
        flags: c_uint,
        iomap: *mut bindings::iomap,
        srcmap: *mut bindings::iomap,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let maps = unsafe { Self::of(inode) };
        from_result(|| {
            let mapping = maps.begin(pos as u64, len as u64, BeginFlags::new(flags))?;
            // SAFETY: As above.
            unsafe { *iomap = mapping.to_iomap(maps.device()) };
            if let Some(source) = mapping.source() {
                // SAFETY: As above.
                unsafe { *srcmap = source.to_iomap(maps.device()) };
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn end(
        inode: *mut bindings::inode,
        pos: bindings::loff_t,
        len: bindings::loff_t,
        written: isize,
        _flags: c_uint,
        _iomap: *mut bindings::iomap,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let maps = unsafe { Self::of(inode) };
        from_result(|| maps.end(pos as u64, len as u64, written as u64).map(|()| 0))
    }

    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn end_io(
        iocb: *mut bindings::kiocb,
        size: isize,
        error: c_int,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let (maps, pos) = unsafe { (Self::of((*(*iocb).ki_filp).f_inode), (*iocb).ki_pos as u64) };
        from_result(|| {
            let error = kernel::error::to_result(error);
            maps.end_io(pos, size as usize, error, EndIoFlags::from_bits(flags))
                .map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// For the VFS to call.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        _start: bindings::loff_t,
        _end: bindings::loff_t,
        _datasync: c_int,
    ) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let maps = unsafe { Self::of((*file).f_inode) };
        from_result(|| maps.sync(&MayIo::new()).map(|()| 0))
    }

    /// # Safety
    ///
    /// For iomap to call.
    unsafe extern "C" fn submit_io(
        _iter: *const bindings::iomap_iter,
        _bio: *mut bindings::bio,
        _pos: bindings::loff_t,
    ) {
    }
}

impl<M> Drop for MappedFile<M> {
    fn drop(&mut self) {
        // The file may be released when the module is gone.
        // SAFETY: By the type invariant; requests on the file keep this object.
        unsafe {
            (*self.file.as_ptr()).f_op = self.f_op;
            bindings::fput(self.file.as_ptr());
        }
    }
}

impl CallOptions {
    /// Returns the flags (`IOMAP_DIO_*`).
    fn flags(&self) -> u32 {
        union(&[
            (self.force_wait, bindings::IOMAP_DIO_FORCE_WAIT),
            (self.overwrite_only, bindings::IOMAP_DIO_OVERWRITE_ONLY),
            (self.partial, bindings::IOMAP_DIO_PARTIAL),
            (self.whole_blocks, bindings::IOMAP_DIO_FSBLOCK_ALIGNED),
            (self.bounce, bindings::IOMAP_DIO_BOUNCE),
        ])
    }
}
