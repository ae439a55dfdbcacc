// SPDX-License-Identifier: GPL-2.0

//! The configfs subsystem, with the switch.

use kernel::{
    configfs::{
        AttributeOperations,
        Subsystem, //
    },
    fmt::{
        self,
        Write as _, //
    },
    page::PAGE_SIZE,
    prelude::*,
    str::{
        kstrtobool_bytes,
        Formatter, //
    },
    sync::Arc, //
};

use kernel_ext::{
    aio::LastTasks,
    compat::{
        configfs::Handle,
        configfs_attrs, //
    },
    debugfs::File,
    placed, //
};

use crate::debugfs::Dir;

#[cfg(CONFIG_PROVE_LOCKING)]
use super::delays;
use super::{
    control::Control,
    stats::Stats, //
};

/// Returns the initializer of the subsystem, whose counters are in `debugfs`.
pub(crate) fn subsystem(debugfs: Dir) -> impl PinInit<Subsystem<Root>, Error> {
    #[cfg(not(CONFIG_PROVE_LOCKING))]
    let item_type = configfs_attrs! {
        container: Subsystem<Root>,
        data: Root,
        attributes: [
            enabled: 0,
            comm: 1,
        ],
    };
    #[cfg(CONFIG_PROVE_LOCKING)]
    let item_type = configfs_attrs! {
        container: Subsystem<Root>,
        data: Root,
        attributes: [
            enabled: 0,
            comm: 1,
            delays: 2,
        ],
    };

    Subsystem::new(
        c"rnull_dio_aio",
        item_type,
        try_pin_init!(Root {
            state: Handle::new(try_pin_init!(State {
                control <- {
                    let stats = Arc::new(Stats::new()?, GFP_KERNEL)?;
                    Control::new(stats)
                },
                _events <- debugfs.read_callback_file(
                    c"events",
                    control.stats.clone(),
                    show_events,
                ),
                _tasks: LastTasks,
            }))?,
        }),
    )
}

fn show_events(stats: &Arc<Stats>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    stats.show(f)
}

/// The directory.
#[pin_data]
pub(crate) struct Root {
    state: Handle<State>,
}

/// What the directory is for.
#[pin_data]
struct State {
    #[pin]
    control: Control,
    #[pin]
    _events: File<Arc<Stats>>,
    // Last, because tasks use the others.
    _tasks: LastTasks,
}

placed!(State);

/// The file `enabled`.
#[vtable]
impl AttributeOperations<0> for Root {
    type Data = Root;

    fn show(this: &Root, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        writeln!(f, "{}", u8::from(this.state.control.is_enabled()))?;
        Ok(f.bytes_written())
    }

    fn store(this: &Root, page: &[u8]) -> Result {
        if kstrtobool_bytes(page.trim_ascii())? {
            this.state.control.enable()
        } else {
            this.state.control.disable()
        }
    }
}

/// The file `comm`.
#[vtable]
impl AttributeOperations<1> for Root {
    type Data = Root;

    fn show(this: &Root, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        this.state
            .control
            .for_each_name(|name| Ok(f.write_fmt(fmt!("{name}\n"))?))?;
        Ok(f.bytes_written())
    }

    fn store(this: &Root, page: &[u8]) -> Result {
        this.state.control.set_names(page.trim_ascii_end())
    }
}

/// The file `delays`, for tests.
#[cfg(CONFIG_PROVE_LOCKING)]
#[vtable]
impl AttributeOperations<2> for Root {
    type Data = Root;

    fn show(_this: &Root, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        delays::show(&mut f)?;
        Ok(f.bytes_written())
    }

    fn store(_this: &Root, page: &[u8]) -> Result {
        delays::set(page.trim_ascii())
    }
}
