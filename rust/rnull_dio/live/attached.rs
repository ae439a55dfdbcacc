// SPDX-License-Identifier: GPL-2.0

//! The files of an attached file system.

use crate::dio::Files;

/// All files of an attached file system.
pub(crate) struct AttachedFiles;

impl Files for AttachedFiles {
    const COUNTED: bool = true;

    const WORKERS: usize = 64;
}
