// SPDX-License-Identifier: GPL-2.0

//! The configfs subsystem, with a directory for each device.

use kernel::{
    configfs::{
        AttributeOperations,
        Group,
        GroupOperations,
        Subsystem, //
    },
    fmt::Write as _,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        BStr,
        CString,
        Formatter, //
    },
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

use kernel_ext::{
    compat::{
        configfs::Handle,
        configfs_attrs, //
    },
    configfs::group_name,
    fault_inject::with_fault_groups,
    placed, //
};

use crate::{
    debugfs::Dir, //
    named::Named,
};

use super::{
    attributes::Attribute,
    device::Device,
    faults::Faults,
    Shared, //
};

/// Numbers the names of attributes, from 0 on, and makes the type of a [`Directory`] of them.
macro_rules! item_type {
    (@number [$($numbered:tt)*] [] [$($_number:literal)*]) => {
        configfs_attrs! {
            container: Group<Directory>,
            data: Directory,
            attributes: [$($numbered)*],
        }
    };
    (
        @number [$($numbered:tt)*]
        [$name:ident $($names:ident)*]
        [$number:literal $($numbers:literal)*]
    ) => {
        item_type!(@number [$($numbered)* $name: $number,] [$($names)*] [$($numbers)*])
    };
    ($($name:ident)*) => {
        item_type!(@number [] [$($name)*] [
             0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24
            25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49
        ])
    };
}

/// Returns the initializer of the subsystem. Its disks have their files in `debugfs`.
pub(crate) fn subsystem(debugfs: Dir) -> impl PinInit<Subsystem<Root>, Error> {
    let item_type = configfs_attrs! {
        container: Subsystem<Root>,
        data: Root,
        child: Directory,
        attributes: [
            features: 0,
        ],
    };

    Subsystem::new(
        c"rnull_dio",
        item_type,
        try_pin_init!(Root {
            state: Handle::new(try_pin_init!(State {
                debugfs,
                shared: Shared::new()?,
                devices <- new_mutex!(KVec::new()),
            }))?,
        }),
    )
}

/// The directory of all devices.
#[pin_data]
pub(crate) struct Root {
    state: Handle<State>,
}

/// What the directory is for.
#[pin_data]
struct State {
    debugfs: Dir,
    shared: Shared,
    // configfs passes `drop_item` the name of the directory, not the device that it stands for.
    #[pin]
    devices: Mutex<KVec<Arc<Device>>>,
}

placed!(State);

impl State {
    fn add(&self, name: &CStr, faults: Faults) -> Result<Arc<Device>> {
        let device = Device::new(name, self.debugfs.clone(), self.shared.clone(), faults);
        let device = Arc::pin_init(device, GFP_KERNEL)?;
        self.devices.lock().push(device.clone(), GFP_KERNEL)?;
        Ok(device)
    }

    fn remove(&self, name: &CStr) -> Option<Arc<Device>> {
        let mut devices = self.devices.lock();
        let index = devices.iter().position(|device| device.name() == name)?;
        devices.remove(index).ok()
    }
}

#[vtable]
impl AttributeOperations<0> for Root {
    type Data = Root;

    fn show(_: &Root, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        for (index, attribute) in Attribute::ALL.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(attribute.name())?;
        }
        for name in Faults::names() {
            f.write_fmt(fmt!(",{name}"))?;
        }
        f.write_str("\n")?;
        Ok(f.bytes_written())
    }
}

#[vtable]
impl GroupOperations for Root {
    type Child = Directory;

    fn make_group(&self, name: &CStr) -> Result<impl PinInit<Group<Directory>, Error>> {
        let item_type = with_attributes!(item_type);

        if !is_disk_name(name.to_bytes()) {
            pr_err!("a disk cannot have the name of this directory\n");
            return Err(EINVAL);
        }
        let path: CString = name.try_into()?;
        let (faults, groups) = Faults::new()?;
        // The device is listed as the last step that may fail, so that none stays behind.
        let directory = Group::new(
            path,
            item_type,
            try_pin_init!(Directory {
                device: self.state.add(name, faults)?,
            }),
        );
        with_fault_groups(directory, groups)
    }

    fn drop_item(&self, child: ArcBorrow<'_, Group<Directory>>) {
        // Not when the last reference of the directory is dropped, because the name can be used again
        // from now on, while a task may have a file of the directory open.
        if let Some(device) = self.state.remove(group_name(&child)) {
            device.power_off();
        }
    }
}

/// The directory of a device.
#[pin_data]
pub(crate) struct Directory {
    device: Arc<Device>,
}

/// The file of the attribute with the index `ID`.
#[vtable]
impl<const ID: u64> AttributeOperations<ID> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        this.device.show(attribute::<ID>(), page)
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        let text = BStr::from_bytes(page.trim_ascii());
        this.device.store(attribute::<ID>(), text)
    }
}

/// Returns the attribute with the index `ID`.
fn attribute<const ID: u64>() -> Attribute {
    // CAST: From 64 bits to at least 32, in which the number of attributes fits.
    const { Attribute::ALL[ID as usize] }
}

/// Returns whether a disk can have this name: letters, digits, `-`, `_` and `.`, a letter or a digit
/// first, and short enough.
fn is_disk_name(name: &[u8]) -> bool {
    // `DISK_NAME_LEN` is 32, with the NUL. The names of partitions need a few more.
    const MAX: usize = 31 - "p128".len();
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);

    name.len() <= MAX
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(good)
}

#[kunit_tests(rnull_dio_disk_configfs)]
mod tests {
    use super::*;

    #[test]
    fn disk_names() {
        for (name, good) in [
            ("nullb0", true),
            ("a", true),
            ("9-_.", true),
            ("", false),
            (".", false),
            ("..", false),
            (".hidden", false),
            ("a b", false),
            ("a/b", false),
            ("a!b", false),
            ("a%d", false),
            ("abcdefghijklmnopqrstuvwxyz0", true),
            ("abcdefghijklmnopqrstuvwxyz01", false),
        ] {
            assert_eq!(is_disk_name(name.as_bytes()), good);
        }
    }
}
