// SPDX-License-Identifier: GPL-2.0

//! Files that hold the data of something else, such as a block device.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/falloc.h`](srctree/include/linux/falloc.h)

mod polling;

use core::ptr::{
    null_mut,
    NonNull, //
};

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi::c_int,
    prelude::*,
    str::CString,
    types::ScopeGuard, //
};

use crate::{
    bindings,
    context::MayIo, //
};

use self::polling::PolledFile;

/// How a [`BackingFile`] is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Without the page cache.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// In which units a file takes direct I/O, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alignment {
    /// Of addresses of memory.
    pub memory: u32,
    /// Of positions and lengths.
    pub unit: u32,
}

/// An open regular file or block device, from a byte on.
///
/// Positions are relative to that byte. The page cache of the file is allocated without I/O as long as
/// it is open, because I/O of the block device may wait for its folios.
///
/// # Invariants
///
/// - `file` is an open file that belongs to this object. It has `read_iter`, and if it is open for
///   writing, `write_iter`.
/// - Its page cache is allocated without I/O, of which the drop is the end.
pub struct BackingFile {
    file: NonNull<bindings::file>,
    access: Access,
    offset: u64,
    bytes: u64,
    alignment: Alignment,
    polled: Option<PolledFile>,
}

// SAFETY: An open file belongs to no thread.
unsafe impl Send for BackingFile {}

// SAFETY: Methods only read what does not change while the file is open, or call functions that
// synchronize themselves.
unsafe impl Sync for BackingFile {}

impl BackingFile {
    /// Opens the file as the current task sees `path`: for reading and writing, or if that is not
    /// allowed, for reading. What lies before byte `offset` is left out. A block device is claimed.
    /// Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// Those of `open(2)`, and
    ///
    /// - `EINVAL`: there is no direct I/O, or the file is neither a regular file nor a block device.
    /// - `EBUSY`: the block device is in use.
    pub fn open(path: &CStr, access: Access, offset: u64) -> Result<Self> {
        let file = match Self::open_for(path, access, bindings::O_RDWR) {
            Err(err) if [EROFS, EACCES, EPERM].contains(&err) => {
                Self::open_for(path, access, bindings::O_RDONLY)
            }
            other => other,
        }?;
        Self::of(file, access, offset)
    }

    /// Takes over an open file.
    fn of(file: NonNull<bindings::file>, access: Access, offset: u64) -> Result<Self> {
        let file = ScopeGuard::new_with_data(file, |file: NonNull<bindings::file>| {
            // SAFETY: The file is open; the reference is given up.
            unsafe { bindings::__fput_sync(file.as_ptr()) };
        });
        // SAFETY: The file is open.
        to_result(unsafe { bindings::ext_file_begin_noio(file.as_ptr()) })?;
        // INVARIANT: Begun above.
        let mut this = Self {
            file: file.dismiss(),
            access,
            offset,
            bytes: 0,
            alignment: Alignment { memory: 1, unit: 1 },
            polled: None,
        };
        this.check()?;
        this.measure()?;
        Ok(this)
    }

    fn open_for(path: &CStr, access: Access, mode: u32) -> Result<NonNull<bindings::file>> {
        let direct = match access {
            Access::Direct => bindings::O_DIRECT,
            Access::Buffered => 0,
        };
        // O_EXCL claims a block device. It means nothing for a file.
        let flags = mode | direct | bindings::O_LARGEFILE | bindings::O_EXCL;
        // SAFETY: The path is a valid string.
        let file = from_err_ptr(unsafe {
            // CAST: Bits of an int.
            bindings::filp_open(path.as_char_ptr(), flags as c_int, 0)
        })?;
        NonNull::new(file).ok_or(EINVAL)
    }

    /// Makes a file of zeroes in memory, for tests.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    #[cfg(CONFIG_KUNIT = "y")]
    pub fn in_memory(bytes: u64, access: Access, offset: u64) -> Result<Self> {
        // SAFETY: No requirements.
        let file = from_err_ptr(unsafe { bindings::ext_memory_file(bytes.try_into()?) })?;
        Self::of(NonNull::new(file).ok_or(ENOMEM)?, access, offset)
    }

    /// Checks that the file can be used. Called before anything else is.
    fn check(&self) -> Result {
        let file = self.file.as_ptr();
        // SAFETY: By the type invariant the file is valid, and so are its operations.
        unsafe {
            let fops = (*file).f_op;
            let known = bindings::ext_file_is_regular(file) || self.is_block_device();
            let writable = (*fops).write_iter.is_some() || !self.is_writable();
            if known && (*fops).read_iter.is_some() && writable {
                Ok(())
            } else {
                Err(EINVAL)
            }
        }
    }

    /// Finds out the size, and in which units direct I/O is.
    fn measure(&mut self) -> Result {
        let (mut size, mut memory, mut unit) = (0, 0, 0);
        // SAFETY: By the type invariant; the numbers outlive the call.
        to_result(unsafe {
            bindings::ext_file_dio(self.file.as_ptr(), &mut size, &mut memory, &mut unit)
        })?;
        self.bytes = size.saturating_sub(self.offset);
        if self.access == Access::Direct {
            self.alignment = Alignment { memory, unit };
        }
        Ok(())
    }

    /// Returns the C file, which is valid as long as this object.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::file {
        self.file.as_ptr()
    }

    /// Returns the position in the file that stands for `len` bytes at `pos`.
    ///
    /// # Errors
    ///
    /// `EINVAL`: they are beyond the last byte that any file can have.
    #[inline]
    pub(crate) fn position(&self, pos: u64, len: u64) -> Result<i64> {
        let begin = self.offset.checked_add(pos).ok_or(EINVAL)?;
        let end = begin.checked_add(len).ok_or(EINVAL)?;
        if i64::try_from(end).is_err() {
            return Err(EINVAL);
        }
        // CAST: It is less than the end.
        Ok(begin as i64)
    }

    /// Returns the number of bytes that there were when the file was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns in which units positions, lengths and memory must be. 1 and 1 if this is not direct.
    pub fn alignment(&self) -> Alignment {
        self.alignment
    }

    /// Returns whether the file is open for writing.
    #[inline]
    pub fn is_writable(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { (*self.file.as_ptr()).f_mode & bindings::EXT_FMODE_WRITE != 0 }
    }

    /// Returns whether this is a block device.
    pub fn is_block_device(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_file_is_block_device(self.file.as_ptr()) }
    }

    /// Prepares the file for transfers that are polled. Sleeps.
    ///
    /// These do not update the time of the last access, and that of the last modification once a second.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the file cannot be polled; otherwise those of `open(2)`.
    pub fn prepare_polling(&mut self) -> Result {
        // SAFETY: By the type invariant.
        self.polled = Some(unsafe { PolledFile::open(self.file)? });
        Ok(())
    }

    /// Returns the open file for transfers that are polled, if there are any and the next one may be,
    /// which is a write if `write`.
    #[inline]
    pub(crate) fn polled(&self, write: bool) -> Option<*mut bindings::file> {
        let polled = self.polled.as_ref()?;
        (!write || !polled.must_write_update_time()).then(|| polled.as_raw())
    }

    /// Returns the open file for transfers that are polled, or NULL.
    pub(crate) fn polled_file(&self) -> *mut bindings::file {
        self.polled.as_ref().map_or(null_mut(), PolledFile::as_raw)
    }

    /// Makes up for the time stamps that polled writes have not updated.
    fn update_time(&self) {
        if let Some(polled) = &self.polled {
            // SAFETY: By the type invariant.
            unsafe { polled.update_time(self.file) };
        }
    }

    /// Returns the name of the disk that this block device is, or is a partition of, or that the file
    /// system of this file is on, as far as that is known: file systems on several devices know of one,
    /// or of none.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub fn disk_name(&self) -> Result<Option<CString>> {
        // CAST: 32.
        let mut name = [0; bindings::DISK_NAME_LEN as usize];
        // SAFETY: By the type invariant; the memory has room for the name of a disk.
        unsafe { bindings::ext_file_disk_name(self.file.as_ptr(), name.as_mut_ptr()) };
        // SAFETY: The function has written a string that ends with a NUL.
        let name = unsafe { CStr::from_char_ptr(name.as_ptr()) };
        if name.is_empty() {
            Ok(None)
        } else {
            Ok(Some(name.try_into()?))
        }
    }

    /// Returns whether there is anything to make durable, and a way to do so.
    pub fn can_sync(&self) -> bool {
        // SAFETY: By the type invariant the file is valid, and so are its operations.
        self.is_writable() && unsafe { (*(*self.file.as_ptr()).f_op).fsync.is_some() }
    }

    /// Returns whether space of the file can be freed, as far as is known before it is tried.
    pub fn may_deallocate(&self) -> bool {
        // SAFETY: By the type invariant.
        self.is_writable() && unsafe { bindings::ext_file_may_deallocate(self.file.as_ptr()) }
    }

    /// Returns in which units the space of the file is freed, in bytes. 0 if it is not known.
    pub fn granularity(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::ext_file_granularity(self.file.as_ptr()) }
    }

    /// Makes what has been written durable, but not the times of the file. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `fdatasync(2)`.
    pub fn sync(&self, _io: &MayIo) -> Result {
        self.update_time();
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::vfs_fsync(self.file.as_ptr(), 1) })
    }

    /// Frees the space of `len` bytes at `pos`, which are zero afterwards. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `fallocate(2)`; `EOPNOTSUPP` if the file system cannot do it.
    pub fn deallocate(&self, pos: u64, len: u64, io: &MayIo) -> Result {
        self.fallocate(bindings::FALLOC_FL_PUNCH_HOLE, pos, len, io)
    }

    /// Makes `len` bytes at `pos` zero, and keeps their space. Sleeps.
    ///
    /// # Errors
    ///
    /// As for [`deallocate`](Self::deallocate).
    pub fn zero(&self, pos: u64, len: u64, io: &MayIo) -> Result {
        self.fallocate(bindings::FALLOC_FL_ZERO_RANGE, pos, len, io)
    }

    fn fallocate(&self, mode: u32, pos: u64, len: u64, _io: &MayIo) -> Result {
        let mode = mode | bindings::FALLOC_FL_KEEP_SIZE;
        // SAFETY: By the type invariant.
        to_result(unsafe {
            bindings::vfs_fallocate(
                self.file.as_ptr(),
                // CAST: Bits of an int.
                mode as c_int,
                self.position(pos, len)?,
                len.try_into()?,
            )
        })
    }
}

impl Drop for BackingFile {
    fn drop(&mut self) {
        self.update_time();
        // The claim of a block device is that of the first open file, which is closed last.
        self.polled = None;
        // SAFETY: By the type invariant; the reference is given up.
        unsafe {
            bindings::ext_file_end_noio(self.file.as_ptr());
            // At once, so that a block device can be claimed again.
            bindings::__fput_sync(self.file.as_ptr());
        }
    }
}

#[kunit_tests(rnull_dio_backing_file)]
mod tests {
    use super::*;
    use core::iter::zip;

    /// Returns what the page cache of a file is allocated with.
    fn mask(file: NonNull<bindings::file>) -> u32 {
        // SAFETY: The file is open, because the tests have a reference.
        unsafe { (*(*file.as_ptr()).f_mapping).gfp_mask }
    }

    #[test]
    fn page_cache_is_allocated_without_io_until_the_last_drop() -> Result {
        // SAFETY: No requirements.
        let file = from_err_ptr(unsafe { bindings::ext_memory_file(4096) })?;
        let file = NonNull::new(file).ok_or(ENOMEM)?;
        let before = mask(file);
        for first_of_two in [true, false] {
            let mut files = KVec::new();
            let mut without_io = before;
            for _ in 0..2 {
                // SAFETY: The file is open; the reference is passed on.
                unsafe { bindings::ext_get_file(file.as_ptr()) };
                files.push(BackingFile::of(file, Access::Buffered, 0)?, GFP_KERNEL)?;
                assert!(mask(file) != before);
                without_io = mask(file);
            }
            let second = files.pop().ok_or(EINVAL)?;
            let first = files.pop().ok_or(EINVAL)?;
            let order = if first_of_two {
                [first, second]
            } else {
                [second, first]
            };
            for (file_of, expected) in zip(order, [without_io, before]) {
                drop(file_of);
                assert_eq!(mask(file), expected);
            }
        }
        // SAFETY: The reference from the beginning.
        unsafe { bindings::__fput_sync(file.as_ptr()) };
        Ok(())
    }
}
