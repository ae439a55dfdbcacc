// SPDX-License-Identifier: GPL-2.0

//! The module `rnull_dio`: a null block device, a direct I/O engine, and a scratch file system.
//!
//! For 64-bit kernels.

// Positions and sizes of 64 bits are converted to `usize`, as the index of a page or a length.
#[cfg(not(CONFIG_64BIT))]
compile_error!("rnull_dio needs a kernel with CONFIG_64BIT");

#[forbid(unsafe_code)]
mod aio;
#[forbid(unsafe_code)]
mod counters;
#[forbid(unsafe_code)]
mod debugfs;
#[forbid(unsafe_code)]
mod dio;
#[forbid(unsafe_code)]
mod diofs;
#[forbid(unsafe_code)]
mod disk;
#[forbid(unsafe_code)]
mod live;
#[forbid(unsafe_code)]
mod named;
mod path;

use kernel::{
    configfs::Subsystem,
    fmt,
    prelude::*, //
};

use kernel_ext::{
    debugfs::File,
    dio::Redirection,
    fs::super_block::Registration, //
};

use self::debugfs::Dir;

module! {
    type: RnullDio,
    name: "rnull_dio",
    authors: ["The rnull-dio developers"],
    description: "Null block device, direct I/O engine and scratch file system",
    license: "GPL",
}

/// The module, while it is loaded.
#[pin_data]
struct RnullDio {
    #[pin]
    disks: Subsystem<disk::configfs::Root>,
    #[pin]
    live: Subsystem<live::Root>,
    #[pin]
    aio: Subsystem<aio::Root>,
    #[pin]
    attributes: File<()>,
    #[pin]
    routing: File<()>,
    // Last, because a file system can be mounted as soon as the type is registered.
    diofs: Registration<diofs::Diofs>,
}

impl kernel::InPlaceModule for RnullDio {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        let debugfs = Dir::new(c"rnull_dio");
        try_pin_init!(Self {
            disks <- disk::configfs::subsystem(debugfs.subdir(c"disk")),
            live <- live::subsystem(debugfs.subdir(c"live"), Redirection::new()?),
            aio <- aio::subsystem(debugfs.subdir(c"aio")),
            attributes <- debugfs.read_callback_file(c"attributes", (), show_attributes),
            routing <- debugfs.read_callback_file(c"routing", (), show_routing),
            diofs: diofs::register(debugfs.subdir(c"diofs"))?,
        })
    }
}

fn show_routing((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    dio::show_table(f)
}

fn show_attributes((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    disk::show_attributes(f)
}
