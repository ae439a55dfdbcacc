// SPDX-License-Identifier: GPL-2.0

//! Credentials of tasks.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use core::ptr::NonNull;

use kernel::{
    cred::Credential,
    sync::aref::ARef, //
};

use crate::bindings;

/// Returns the credentials of the current task.
pub(crate) fn current_cred() -> ARef<Credential> {
    // SAFETY: No requirements.
    let cred = unsafe { bindings::ext_get_current_cred() };
    // SAFETY: A task has credentials, of which a reference has just been taken. The type has the
    // layout of the C one.
    unsafe { ARef::from_raw(NonNull::new_unchecked(cred.cast_mut().cast())) }
}
