// SPDX-License-Identifier: GPL-2.0

//! The C operations on mount options.

use core::marker::PhantomData;

use kernel::{
    error::from_result,
    ffi::c_int,
    prelude::*,
    seq_file::SeqFile,
    sync::Arc,
    types::ForeignOwnable, //
};

use super::file_system::FileSystem;
use crate::{
    bindings,
    fs::options::{
        OptionError,
        Options, //
    },
};

/// The C operations on the options of `F`.
pub(super) struct OptionsVTable<F>(PhantomData<F>);

impl<F: FileSystem> OptionsVTable<F> {
    /// Gives a new context its options: those of the super block that it is for, or the defaults.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `fc` must be a valid context for a file system of this type, not yet set up.
    pub(super) unsafe fn init(fc: *mut bindings::fs_context) -> Result {
        // SAFETY: By the safety requirements of this function; there is a root if there is a super
        // block.
        let options = unsafe {
            if (*fc).root.is_null() {
                F::Options::default()
            } else {
                F::options(&Arc::<F::Super>::borrow(
                    (*(*(*fc).root).d_sb).s_fs_info.cast(),
                ))
            }
        };
        // SAFETY: As above. `free` drops what is put there.
        unsafe { (*fc).fs_private = KBox::into_raw(KBox::new(options, GFP_KERNEL)?).cast() };
        Ok(())
    }

    /// # Safety
    ///
    /// `fc` must be a context that [`init`](Self::init) was called for, and be the caller's for
    /// `'a`.
    pub(super) unsafe fn options<'a>(fc: *mut bindings::fs_context) -> &'a mut F::Options {
        // SAFETY: By the safety requirements of this function.
        unsafe { &mut *(*fc).fs_private.cast() }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    pub(super) unsafe extern "C" fn free(fc: *mut bindings::fs_context) {
        // SAFETY: The VFS passes a context at its end, once.
        let options = unsafe { (*fc).fs_private.cast::<F::Options>() };
        if !options.is_null() {
            // SAFETY: `init` has put it there.
            drop(unsafe { KBox::from_raw(options) });
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    pub(super) unsafe extern "C" fn parse_param(
        fc: *mut bindings::fs_context,
        param: *mut bindings::fs_parameter,
    ) -> c_int {
        // SAFETY: The VFS passes a valid context and parameter; a key is a string, and so are
        // values of that type.
        let (options, key, value) = unsafe {
            let is_string = (*param).type_() == bindings::fs_value_type_fs_value_is_string;
            let string = (*param).__bindgen_anon_1.string;
            (
                Self::options(fc),
                CStr::from_char_ptr((*param).key),
                (is_string && !string.is_null()).then(|| CStr::from_char_ptr(string)),
            )
        };
        match options.parse(key, value) {
            Ok(()) => 0,
            // CAST: A small number.
            Err(OptionError::Unknown) => -(bindings::ENOPARAM as c_int),
            Err(OptionError::Value(right)) => {
                // SAFETY: The format takes three strings.
                unsafe {
                    bindings::logfc(
                        (*fc).log.log,
                        core::ptr::null(),
                        b'e',
                        c"%s: option '%s' is not one of: %s".as_char_ptr(),
                        F::NAME.as_char_ptr(),
                        key.as_char_ptr(),
                        right.as_char_ptr(),
                    )
                };
                EINVAL.to_errno()
            }
        }
    }

    /// # Safety
    ///
    /// For the VFS to call.
    pub(super) unsafe extern "C" fn reconfigure(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The VFS passes a valid context of a file system that is mounted.
        let (info, options) = unsafe {
            let sb = (*(*fc).root).d_sb;
            (
                Arc::<F::Super>::borrow((*sb).s_fs_info.cast()),
                Self::options(fc),
            )
        };
        from_result(|| F::reconfigure(&info, options).map(|()| 0))
    }

    /// # Safety
    ///
    /// For the VFS to call.
    pub(super) unsafe extern "C" fn show_options(
        m: *mut bindings::seq_file,
        root: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: The VFS passes a valid file, which is ours for the call, and the root of a file
        // system that is mounted.
        let (m, info) = unsafe {
            (
                SeqFile::from_raw(m),
                Arc::<F::Super>::borrow((*(*root).d_sb).s_fs_info.cast()),
            )
        };
        F::options(&info).show(m);
        0
    }
}
