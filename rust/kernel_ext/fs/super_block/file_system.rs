// SPDX-License-Identifier: GPL-2.0

//! Types of file systems.

use kernel::{
    prelude::*,
    sync::Arc,
    ModuleMetadata, //
};

use super::root::NewRoot;
use crate::{
    block::BdevFile,
    context::MayIo,
    fs::{
        options::Options,
        FileOperations, //
    },
};

/// The part of the result of `statfs(2)` that the file system provides.
pub struct StatFs {
    /// The size of a block in bytes.
    pub block_size: u32,
    /// The number of blocks, all of which are in use.
    pub blocks: u64,
    /// The number of inodes.
    pub files: u64,
}

/// A type of file system that is mounted on a block device.
pub trait FileSystem: Sized + Send + Sync + 'static {
    /// The name of the type, for `mount -t`.
    const NAME: &'static CStr;

    /// The magic number that `statfs(2)` returns.
    const MAGIC: usize;

    /// The module of the type. A mounted file system pins it.
    type Module: ModuleMetadata;

    /// The data of a super block.
    type Super: Send + Sync + 'static;

    /// A regular file.
    type File: FileOperations;

    /// The mount options.
    type Options: Options;

    /// Mounts `device`, called `name`. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The error that the caller of `mount(2)` gets; `EINVAL` if there is no such file system on
    /// the device.
    fn mount(
        &self,
        device: BdevFile,
        name: &CStr,
        options: &Self::Options,
        io: &MayIo,
    ) -> Result<Arc<Self::Super>>;

    /// Changes the options of a super block.
    ///
    /// # Errors
    ///
    /// The error that the caller of `mount(2)` gets. Nothing has changed then.
    fn reconfigure(info: &Self::Super, options: &Self::Options) -> Result;

    /// Returns the options of a super block.
    fn options(info: &Self::Super) -> Self::Options;

    /// Adds the files to the root directory. May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`NewRoot::add_file`].
    fn populate(info: &Arc<Self::Super>, root: &mut NewRoot<'_, Self::File>) -> Result;

    /// Makes what has been written durable. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The device's error.
    fn sync(info: &Self::Super, io: &MayIo) -> Result;

    /// Returns the result of `statfs(2)`.
    fn statfs(info: &Self::Super) -> StatFs;
}
