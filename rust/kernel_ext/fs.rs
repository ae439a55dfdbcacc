// SPDX-License-Identifier: GPL-2.0

//! File systems and their files.

pub mod backing_file;
mod file;
mod file_vtable;
pub(crate) mod inode;
pub mod iomap;
pub(crate) mod kiocb;
pub mod mount;
pub(crate) mod open_file;
pub mod options;
mod page_cache;
pub mod super_block;

pub use self::{
    file::FileOperations,
    inode::LockedInode,
    kiocb::{
        Issued,
        Kiocb,
        PolledKiocb, //
    },
    super_block::FileSystem, //
};
