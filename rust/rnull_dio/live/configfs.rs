// SPDX-License-Identifier: GPL-2.0

//! The configfs subsystem, with a directory for each file system.

use kernel::{
    configfs::{
        AttributeOperations,
        Group,
        GroupOperations,
        Subsystem, //
    },
    fmt::{
        self,
        Write as _, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        kstrtobool_bytes,
        BStr,
        CString,
        Formatter, //
    },
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    },
};

use kernel_ext::{
    compat::{
        configfs::Handle,
        configfs_attrs, //
    },
    configfs::group_name,
    dio::Redirection,
    placed, //
};

use crate::debugfs::Dir;

use super::item::Item;

/// Returns the initializer of the subsystem. File systems have their files in `debugfs`.
pub(crate) fn subsystem(
    debugfs: Dir,
    redirection: Arc<Redirection>,
) -> impl PinInit<Subsystem<Root>, Error> {
    let item_type = configfs_attrs! {
        container: Subsystem<Root>,
        data: Root,
        child: Directory,
        attributes: [],
    };

    Subsystem::new(
        c"rnull_dio_live",
        item_type,
        try_pin_init!(Root {
            state: Handle::new(try_pin_init!(State {
                debugfs,
                redirection,
                items <- new_mutex!(KVec::new()),
            }))?,
        }),
    )
}

/// The directory of all file systems.
#[pin_data]
pub(crate) struct Root {
    state: Handle<State>,
}

/// What the directory is for.
#[pin_data]
struct State {
    debugfs: Dir,
    redirection: Arc<Redirection>,
    // configfs passes `drop_item` the name of the directory, not what it stands for.
    #[pin]
    items: Mutex<KVec<Arc<Item>>>,
}

placed!(State);

impl State {
    fn add(&self, name: &CStr) -> Result<Arc<Item>> {
        let item = Item::new(name, self.debugfs.clone(), self.redirection.clone());
        let item = Arc::pin_init(item, GFP_KERNEL)?;
        self.items.lock().push(item.clone(), GFP_KERNEL)?;
        Ok(item)
    }

    fn remove(&self, name: &CStr) -> Option<Arc<Item>> {
        let mut items = self.items.lock();
        let index = items.iter().position(|item| item.name() == name)?;
        items.remove(index).ok()
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
                path: 0,
                completion: 1,
                attached: 2,
            ],
        };

        let path: CString = name.try_into()?;
        // It is listed as the last step that may fail, so that none stays behind.
        Ok(Group::new(
            path,
            item_type,
            try_pin_init!(Directory {
                item: self.state.add(name)?,
            }),
        ))
    }

    fn drop_item(&self, child: ArcBorrow<'_, Group<Directory>>) {
        // Not when the last reference of the directory is dropped, because the name can be used again
        // from now on, while a task may have a file of the directory open.
        if let Some(item) = self.state.remove(group_name(&child)) {
            item.detach();
        }
    }
}

/// The directory of a file system.
#[pin_data]
pub(crate) struct Directory {
    item: Arc<Item>,
}

/// Writes a line to `page`. Returns its length.
fn show(
    page: &mut [u8; PAGE_SIZE],
    write: impl FnOnce(&mut dyn fmt::Write) -> fmt::Result,
) -> Result<usize> {
    let mut f = Formatter::new(page);
    write(&mut f)?;
    f.write_str("\n")?;
    Ok(f.bytes_written())
}

/// The file `path`.
#[vtable]
impl AttributeOperations<0> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        show(page, |f| this.item.show_path(f))
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        this.item.set_path(BStr::from_bytes(page.trim_ascii()))
    }
}

/// The file `completion`.
#[vtable]
impl AttributeOperations<1> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        show(page, |f| this.item.show_policy(f))
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        this.item.set_policy(BStr::from_bytes(page.trim_ascii()))
    }
}

/// The file `attached`.
#[vtable]
impl AttributeOperations<2> for Directory {
    type Data = Directory;

    fn show(this: &Directory, page: &mut [u8; PAGE_SIZE]) -> Result<usize> {
        show(page, |f| this.item.show_attached(f))
    }

    fn store(this: &Directory, page: &[u8]) -> Result {
        if kstrtobool_bytes(page.trim_ascii())? {
            this.item.attach()
        } else {
            this.item.detach();
            Ok(())
        }
    }
}
