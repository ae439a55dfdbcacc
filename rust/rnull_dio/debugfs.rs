// SPDX-License-Identifier: GPL-2.0

//! Directories of this module in debugfs.

use crate::LocalModule;

/// A directory of this module in debugfs.
pub(crate) type Dir = kernel_ext::debugfs::Dir<LocalModule>;
