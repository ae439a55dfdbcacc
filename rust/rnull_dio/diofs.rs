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
    debugfs,
    fs::super_block::{
        FileSystem,
        FileSystemType,
        NewRoot,
        Registration,
        StatFs, //
    },
};

use crate::{
    debugfs::Dir, //
    dio::{
        Engine,
        File,
        Stats, //
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
    name: CString,
    signature: Signature,
    engine: Arc<Engine<File<DataFile>>>,
    #[pin]
    routes: debugfs::File<Arc<Stats>>,
    #[pin]
    events: debugfs::File<Arc<Stats>>,
}

impl FileSystem for Diofs {
    const NAME: &'static CStr = c"diofs";
    /// "diof"
    const MAGIC: usize = 0x6469_6f66;

    type Module = crate::LocalModule;
    type Super = Super;
    type File = File<DataFile>;
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
        let engine = Engine::new(device, &CString::try_from_fmt(fmt!("rnull_dio/{name}"))?)?;
        engine.set_policy(options.completion);
        // Its files keep the directory.
        let directory = self.debugfs.subdir(&directory);
        let stats = engine.stats.clone();
        let events =
            directory.read_callback_file(c"events", stats.clone(), |stats, f| stats.events.show(f));
        let routes =
            directory.read_callback_file(c"routes", stats, |stats, f| stats.routes.show(f));
        Arc::pin_init(
            try_pin_init!(Super {
                name: name.try_into()?,
                signature,
                engine,
                routes <- routes,
                events <- events,
            }),
            GFP_KERNEL,
        )
    }

    fn reconfigure(info: &Super, options: &Options) -> Result {
        info.engine.set_policy(options.completion);
        Ok(())
    }

    fn options(info: &Super) -> Options {
        Options {
            completion: info.engine.policy(),
        }
    }

    fn populate(info: &Arc<Super>, root: &mut NewRoot<'_, Self::File>) -> Result {
        let data = DataFile {
            device_name: (*info.name).try_into()?,
            signature: info.signature,
        };
        let file = KBox::pin(File::new(data, &info.engine)?, GFP_KERNEL)?;
        root.add_file(c"data", DATA_MODE, info.signature.data_len(), file)
    }

    fn sync(info: &Super, io: &MayIo) -> Result {
        info.engine.device.issue_flush(io)
    }

    fn statfs(info: &Super) -> StatFs {
        let block_size = info.engine.block_size();
        StatFs {
            block_size,
            // A power of two.
            blocks: info.signature.data_len() >> block_size.trailing_zeros(),
            files: 2,
        }
    }
}
