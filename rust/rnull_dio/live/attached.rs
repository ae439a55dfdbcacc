// SPDX-License-Identifier: GPL-2.0

//! The files of an attached file system.

use kernel::prelude::*;

use kernel_ext::percpu_ref::Users;

use crate::dio::Files;

/// All files of an attached file system.
#[pin_data]
pub(crate) struct AttachedFiles {
    /// The requests that have been taken, and are not complete.
    #[pin]
    users: Users,
}

impl AttachedFiles {
    pub(super) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            users <- Users::new(),
        })
    }
}

impl Files for AttachedFiles {
    const COUNTED: bool = true;

    const WORKERS: usize = 64;

    #[inline]
    fn users(&self) -> Option<&Users> {
        Some(&self.users)
    }
}
