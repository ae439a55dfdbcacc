// SPDX-License-Identifier: GPL-2.0

//! File systems and their files.

pub mod file;
mod inode;
pub mod iomap;
#[cfg(CONFIG_KUNIT)]
pub mod kernel_io;
pub mod kiocb;
pub mod super_block;

pub use self::{
    file::{FileOperations, Issued},
    kiocb::Kiocb,
    super_block::FileSystem, //
};
