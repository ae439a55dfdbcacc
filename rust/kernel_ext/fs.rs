// SPDX-License-Identifier: GPL-2.0

//! File systems and their files.

pub mod deferring;
pub mod dio_gate;
mod fallocate;
pub mod file;
mod inode;
pub mod iomap;
pub(crate) mod issuer;
#[cfg(CONFIG_KUNIT)]
pub mod kernel_io;
pub mod kiocb;
pub mod options;
pub mod super_block;

pub use self::{
    file::{FileOperations, Issued},
    kiocb::Kiocb,
    super_block::FileSystem, //
};
