// SPDX-License-Identifier: GPL-2.0

//! Open files whose transfers are polled.

use core::ptr::NonNull;

use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

use crate::{
    bindings,
    compat::error::code::EOPNOTSUPP, //
};

/// A second open file of a [`super::BackingFile`], for transfers that are polled.
///
/// Its time stamps are not updated by transfers, because that may sleep, but as a whole: by one write
/// a second of the first open file, and in the end.
///
/// # Invariants
///
/// `file` is an open file that belongs to this object. It has the operations of the first one, and is
/// open for writing if that is.
pub(super) struct PolledFile {
    file: NonNull<bindings::file>,
    /// When a write had last to update the time stamps, in jiffies.
    since: Atomic<usize>,
    /// Whether there was a write that did not.
    is_due: Atomic<bool>,
}

impl PolledFile {
    /// Opens the file anew.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the file cannot be polled; otherwise those of `open(2)`.
    ///
    /// # Safety
    ///
    /// `file` must be open.
    pub(super) unsafe fn open(file: NonNull<bindings::file>) -> Result<Self> {
        // SAFETY: By the safety requirements of this function.
        if !unsafe { bindings::ext_file_can_poll(file.as_ptr()) } {
            return Err(EOPNOTSUPP);
        }
        // SAFETY: As above.
        let polled = from_err_ptr(unsafe { bindings::ext_file_open_polled(file.as_ptr()) })?;
        // INVARIANT: Just opened, with the same path and mode.
        Ok(Self {
            file: NonNull::new(polled).ok_or(EINVAL)?,
            // SAFETY: No requirements.
            since: Atomic::new(unsafe { bindings::ext_a_second_ago() }),
            is_due: Atomic::new(false),
        })
    }

    #[inline]
    pub(super) fn as_raw(&self) -> *mut bindings::file {
        self.file.as_ptr()
    }

    /// Returns whether the next write has to update the time stamps, for which it must not be polled.
    #[inline]
    pub(super) fn must_write_update_time(&self) -> bool {
        // SAFETY: The number lives as long as `self`, and is accessed atomically.
        if unsafe { bindings::ext_second_is_over(self.since.as_ptr()) } {
            return true;
        }
        // Not written each time, because other CPUs read it. If it is set and an update clears it now,
        // this write began before that update.
        if !self.is_due.load(Relaxed) {
            self.is_due.store(true, Relaxed);
        }
        false
    }

    /// Updates the time stamps if there was a polled write, by the first open file. Sleeps.
    ///
    /// # Safety
    ///
    /// `file` must be open.
    pub(super) unsafe fn update_time(&self, file: NonNull<bindings::file>) {
        if !self.is_due.xchg(false, Relaxed) {
            return;
        }
        // SAFETY: By the safety requirements of this function.
        let is_done = unsafe { bindings::ext_file_update_time(file.as_ptr()) };
        if !is_done {
            self.is_due.store(true, Relaxed);
        }
    }
}

impl Drop for PolledFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; the reference is given up.
        unsafe { bindings::__fput_sync(self.file.as_ptr()) };
    }
}
