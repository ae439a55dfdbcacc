// SPDX-License-Identifier: GPL-2.0

//! `diofs`, a scratch file system.
//!
//! It has one file, `data`, that covers its device linearly. Whatever is not on the device, such as
//! time stamps, is lost at unmount.

mod command;
mod data_file;
mod options;
mod signature;

use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

use kernel_ext::{
    block::BdevFile,
    context::MayIo,
    fs::super_block::{
        FileSystem,
        FileSystemType,
        NewRoot,
        Registration,
        StatFs, //
    },
};

use crate::{
    debugfs::Dir,
    dio::{
        Engine,
        StatsFiles, //
    },
};

use self::{
    data_file::DataFile,
    options::Options,
    signature::Signature, //
};

/// The permissions of `data`.
const DATA_MODE: u16 = 0o600;

static DIOFS: FileSystemType<Diofs> = FileSystemType::new();

/// Registers the file system. Each mount will have a directory in `debugfs`. Sleeps.
///
/// # Errors
///
/// `ENOMEM`; `EBUSY` if there is a file system type of that name.
pub(crate) fn register(debugfs: Dir) -> Result<Registration<Diofs>> {
    Registration::new(&DIOFS, Diofs { debugfs })
}

/// The file system type.
pub(crate) struct Diofs {
    /// The directory of the mounts' directories.
    debugfs: Dir,
}

/// The data of a super block.
#[pin_data]
pub(crate) struct Super {
    data: Arc<Engine<DataFile>>,
    #[pin]
    stats: StatsFiles,
}

impl FileSystem for Diofs {
    const NAME: &'static CStr = c"diofs";
    /// "diof"
    const MAGIC: usize = 0x6469_6f66;

    type Module = crate::LocalModule;
    type Super = Super;
    type File = Engine<DataFile>;
    type Options = Options;

    fn mount(
        &self,
        device: BdevFile,
        name: &CStr,
        options: &Options,
        io: &MayIo,
    ) -> Result<Arc<Super>> {
        let signature = Signature::read(&device, io)
            .inspect_err(|err| pr_err!("diofs ({name}): {err}\n"))
            .map_err(Error::from)?;
        // Not the name, which a disk that is gone may have had whose file system is still mounted.
        let (major, minor) = device.number();
        let directory = CString::try_from_fmt(fmt!("{major}:{minor}"))?;
        let data = DataFile::new(device, name.try_into()?, signature);
        let engine_name = CString::try_from_fmt(fmt!("rnull_dio/{name}"))?;
        let data = Arc::pin_init(
            Engine::new(&engine_name, options.completion, data)?,
            GFP_KERNEL,
        )?;
        let directory = self.debugfs.subdir(&directory);
        Arc::pin_init(
            try_pin_init!(Super {
                stats <- StatsFiles::new(&directory, &data.stats),
                data,
            }),
            GFP_KERNEL,
        )
    }

    fn reconfigure(info: &Super, options: &Options) -> Result {
        info.data.set_policy(options.completion);
        Ok(())
    }

    fn options(info: &Super) -> Options {
        Options {
            completion: info.data.policy(),
        }
    }

    fn populate(info: &Arc<Super>, root: &mut NewRoot<'_, Self::File>) -> Result {
        root.add_file(
            c"data",
            DATA_MODE,
            info.data.files.size(),
            info.data.clone(),
        )
    }

    fn sync(info: &Super, io: &MayIo) -> Result {
        info.data.files.device.issue_flush(io)
    }

    fn statfs(info: &Super) -> StatFs {
        let block_size = info.data.files.device.logical_block_size();
        StatFs {
            block_size,
            // A power of two.
            blocks: info.data.files.size() >> block_size.trailing_zeros(),
            files: 2,
        }
    }
}
