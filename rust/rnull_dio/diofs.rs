// SPDX-License-Identifier: GPL-2.0

//! `diofs`, a scratch file system.
//!
//! It begins with a single file, `data`, that lies over the device in one piece. What is not on
//! the device, such as time stamps, is forgotten at unmount.

mod command;
mod data_file;
mod options;
mod signature;

use kernel::{
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc, //
    },
};

use kernel_ext::{
    block::BlockDevice,
    context::Io,
    debugfs::File,
    fs::{
        super_block::{
            NewRoot,
            StatFs, //
        },
        FileSystem,
    },
};

use self::{
    data_file::DataFile,
    options::Options,
    signature::Signature, //
};
use crate::{
    dio::{
        Engine,
        Stats, //
    },
    Dir, //
};

/// The file system type.
pub(crate) struct Diofs {
    /// Where the instances have their directories.
    debugfs: Dir,
}

impl Diofs {
    /// Keeps its instances' directories in `debugfs`.
    pub(crate) fn new(debugfs: Dir) -> Self {
        Self { debugfs }
    }
}

/// A mounted diofs.
#[pin_data]
pub(crate) struct Mount {
    name: CString,
    signature: Signature,
    engine: Arc<Engine<DataFile>>,
    #[pin]
    routes: File<Arc<Stats>>,
    #[pin]
    events: File<Arc<Stats>>,
}

impl FileSystem for Diofs {
    const NAME: &'static CStr = c"diofs";
    /// "diof"
    const MAGIC: usize = 0x6469_6f66;

    type Module = crate::RnullDio;
    type Mount = Mount;
    type File = DataFile;
    type Options = Options;

    fn mount(
        &self,
        device: ARef<BlockDevice>,
        name: &CStr,
        options: &Options,
    ) -> Result<Arc<Mount>> {
        let signature = Signature::read(&device)
            .inspect_err(|err| pr_err!("diofs ({}): {}\n", name, err.reason()))
            .map_err(Error::from)?;
        let engine = Engine::new(device, &CString::try_from_fmt(fmt!("rnull_dio/{name}"))?)?;
        engine.set_policy(options.completion);
        // The files keep their directory.
        let directory = self.debugfs.subdir(name);
        let events = directory.read_callback_file(c"events", engine.stats.clone(), |stats, f| {
            stats.show_events(f)
        });
        let routes = directory.read_callback_file(c"routes", engine.stats.clone(), |stats, f| {
            stats.show_routes(f)
        });
        Arc::pin_init(
            try_pin_init!(Mount {
                name: name.try_into()?,
                signature,
                engine,
                routes <- routes,
                events <- events,
            }),
            GFP_KERNEL,
        )
    }

    fn reconfigure(mount: &Mount, options: &Options) -> Result {
        mount.engine.set_policy(options.completion);
        Ok(())
    }

    fn options(mount: &Mount) -> Options {
        Options {
            completion: mount.engine.policy(),
        }
    }

    fn populate(mount: &Arc<Mount>, root: &mut NewRoot<'_, Self>) -> Result {
        let file = DataFile::new(mount)?;
        root.add_file(c"data", mount.signature.data_len(), file)
    }

    fn sync(mount: &Mount, io: &Io) -> Result {
        mount.engine.device.issue_flush(io)
    }

    fn statfs(mount: &Mount) -> StatFs {
        let block_size = mount.engine.block_size;
        StatFs {
            block_size,
            // A power of two.
            blocks: mount.signature.data_len() >> block_size.trailing_zeros(),
            files: 2,
        }
    }
}
