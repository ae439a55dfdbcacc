// SPDX-License-Identifier: GPL-2.0

//! Disks in configfs.
//!
//! A directory stands for a device, which is set up while it is off, and becomes a disk when it is
//! switched on.

use kernel::{
    configfs::{
        self,
        AttributeOperations,
        Group,
        GroupOperations,
        Subsystem, //
    },
    configfs_attrs,
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
    block,
    configfs::group_name, //
};

use crate::Dir;

use super::{
    config::{
        self,
        Attribute,
        Config, //
    },
    Disk,
    Storage, //
};

/// How much of a value that is refused is repeated in the log.
const LOG_LEN: usize = 40;

/// Returns the initialiser of the subsystem. Its disks have their files in `debugfs`.
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
            debugfs,
            devices <- new_mutex!(KVec::new()),
        }),
    )
}

/// The directory of all devices.
#[pin_data]
pub(crate) struct Root {
    debugfs: Dir,
    // configfs does not tell which device a directory that goes away stands for, only its name.
    #[pin]
    devices: Mutex<KVec<Arc<Device>>>,
}

impl Root {
    fn add(&self, name: &CStr) -> Result<Arc<Device>> {
        let device = Arc::pin_init(Device::new(name, self.debugfs.clone()), GFP_KERNEL)?;
        self.devices.lock().push(device.clone(), GFP_KERNEL)?;
        Ok(device)
    }

    fn remove(&self, name: &CStr) -> Option<Arc<Device>> {
        let mut devices = self.devices.lock();
        let index = devices.iter().position(|device| *device.name == *name)?;
        devices.remove(index).ok()
    }
}

#[vtable]
impl AttributeOperations<0> for Root {
    type Data = Root;

    fn show(_: &Root, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        for attribute in Attribute::ALL {
            f.write_str(attribute.name())?;
            f.write_str(",")?;
        }
        f.write_str("badblocks,power\n")?;
        Ok(f.bytes_written())
    }
}

#[vtable]
impl GroupOperations for Root {
    type Child = Directory;

    fn make_group(&self, name: &CStr) -> Result<impl PinInit<Group<Directory>, Error>> {
        let item_type = configfs_attrs! {
            container: Group<Directory>,
            data: Directory,
            attributes: [
                power: 0,
                badblocks: 1,
                size: 2,
                blocksize: 3,
                rotational: 4,
                memory_backed: 5,
                irqmode: 6,
                completion_nsec: 7,
                submit_queues: 8,
                poll_queues: 9,
                hw_queue_depth: 10,
                write_cache: 11,
                fua: 12,
                discard: 13,
            ],
        };

        if !config::is_disk_name(name.to_bytes()) {
            refused(name, "name", name.to_bytes(), EINVAL);
            return Err(EINVAL);
        }
        let path: CString = name.try_into()?;
        // The device is listed as the last step that may fail, so that none stays behind.
        Ok(Group::new(
            path,
            item_type,
            try_pin_init!(Directory {
                device: self.add(name)?,
            }),
        ))
    }

    fn drop_item(&self, child: ArcBorrow<'_, Group<Directory>>) {
        // Now, and not when the last reference of the directory goes: somebody may have a file in it
        // open, and the name is free from now on.
        if let Some(device) = self.remove(group_name(&child)) {
            device.power_off();
        }
    }
}

/// The directory of a device.
#[pin_data]
pub(crate) struct Directory {
    device: Arc<Device>,
}

/// A device: what a disk is made from.
#[pin_data]
struct Device {
    name: CString,
    debugfs: Dir,
    // Kept over power-off, as in null_blk.
    storage: Arc<Storage>,
    // Held while the disk is made and while it goes, which may take as long as its I/O.
    #[pin]
    state: Mutex<State>,
}

struct State {
    config: Config,
    disk: Option<Disk>,
}

impl Device {
    fn new(name: &CStr, debugfs: Dir) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            name: name.try_into()?,
            debugfs,
            storage: Arc::pin_init(Storage::new(), GFP_KERNEL)?,
            state <- new_mutex!(State {
                config: Config::default(),
                disk: None,
            }),
        })
    }

    fn set(&self, attribute: Attribute, text: &BStr) -> Result {
        let mut state = self.state.lock();
        if state.disk.is_some() {
            return Err(EBUSY);
        }
        state.config.set(attribute, text)
    }

    fn power(&self, text: &BStr) -> Result {
        if config::boolean(text)? {
            self.power_on()
        } else {
            self.power_off();
            Ok(())
        }
    }

    fn power_on(&self) -> Result {
        let mut state = self.state.lock();
        if state.disk.is_some() {
            return Ok(());
        }
        // The driver core would refuse it too, but with a stack trace in the log.
        if block::disk_name_in_use(&self.name) {
            return Err(EEXIST);
        }
        let storage = self.storage.clone();
        let disk = Disk::with_storage(&self.name, &state.config, storage, &self.debugfs)?;
        state.disk = Some(disk);
        Ok(())
    }

    /// Waits for all I/O in flight.
    fn power_off(&self) {
        // Under the lock: who switches it on again finds the name free.
        self.state.lock().disk = None;
    }

    fn set_badblocks(&self, text: &BStr) -> Result {
        let (bad, sectors) = config::sector_range(text)?;
        if bad {
            self.storage.bad().set_bad(sectors)
        } else {
            self.storage.bad().set_good(sectors)
        }
    }

    /// Calls `store` with the text that the user wrote, and logs if that is refused.
    fn store(&self, name: &str, page: &[u8], store: impl FnOnce(&BStr) -> Result) -> Result {
        let text = page.trim_ascii();
        store(BStr::from_bytes(text)).inspect_err(|&error| refused(&self.name, name, text, error))
    }
}

/// Logs that `value` of the attribute `name` of a device was refused.
fn refused(device: &CStr, name: &str, value: &[u8], error: Error) {
    let device = BStr::from_bytes(&device.to_bytes()[..device.to_bytes().len().min(LOG_LEN)]);
    let value = BStr::from_bytes(&value[..value.len().min(LOG_LEN)]);
    let reason = match error {
        EINVAL => "invalid value",
        EBUSY => "the device is on",
        EEXIST => "there is another disk of this name",
        ENOSPC => "the list is full",
        ENOMEM => "out of memory",
        _ => "failed",
    };
    pr_err!("{device}: {name}: '{value}' refused: {reason} ({error:?})\n");
}

#[vtable]
impl AttributeOperations<0> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        let mut f = Formatter::new(page);
        let on = this.device.state.lock().disk.is_some();
        f.write_str(if on { "1\n" } else { "0\n" })?;
        Ok(f.bytes_written())
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        let device = &this.device;
        device.store("power", page, |text| device.power(text))
    }
}

#[vtable]
impl AttributeOperations<1> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        this.device.storage.bad().show(page)
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        let device = &this.device;
        device.store("badblocks", page, |text| device.set_badblocks(text))
    }
}

/// Implements the files of the attributes that are set before power-on.
macro_rules! setup_attributes {
    ($($id:literal: $attribute:ident,)*) => {
        $(
            #[vtable]
            impl configfs::AttributeOperations<$id> for Directory {
                type Data = Directory;

                fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
                    let mut f = Formatter::new(page);
                    let state = this.device.state.lock();
                    state.config.show(Attribute::$attribute, &mut f)?;
                    Ok(f.bytes_written())
                }

                fn store(this: &Directory, page: &[u8]) -> Result {
                    let device = &this.device;
                    device.store(Attribute::$attribute.name(), page, |text| {
                        device.set(Attribute::$attribute, text)
                    })
                }
            }
        )*
    };
}

setup_attributes! {
    2: Size,
    3: BlockSize,
    4: Rotational,
    5: MemoryBacked,
    6: IrqMode,
    7: CompletionNsec,
    8: SubmitQueues,
    9: PollQueues,
    10: HwQueueDepth,
    11: WriteCache,
    12: Fua,
    13: Discard,
}
