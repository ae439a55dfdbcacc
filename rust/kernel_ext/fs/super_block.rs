// SPDX-License-Identifier: GPL-2.0

//! File systems that are mounted on a block device.
//!
//! C headers: [`include/linux/fs.h`](srctree/include/linux/fs.h),
//! [`include/linux/fs_context.h`](srctree/include/linux/fs_context.h)

mod file_system;
mod file_system_type;
mod ops;
mod options;
mod registration;
mod root;

pub use self::{
    file_system::{
        FileSystem,
        StatFs, //
    },
    file_system_type::FileSystemType,
    registration::Registration,
    root::NewRoot, //
};
