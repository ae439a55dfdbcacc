// SPDX-License-Identifier: GPL-2.0

//! configfs: the names of groups and default groups, which `kernel::configfs` does not have.
//!
//! C header: [`include/linux/configfs.h`](srctree/include/linux/configfs.h)

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
mod default_groups;

use kernel::{
    configfs::{
        Group,
        HasGroup, //
    },
    prelude::*, //
};

#[cfg(CONFIG_FAULT_INJECTION_CONFIGFS)]
pub(crate) use self::default_groups::DefaultGroups;

/// Returns the name of the directory that stands for `group`.
///
/// `GroupOperations::drop_item` gets a [`Group`] whose data it cannot reach, and recognizes the
/// directory by this name.
pub fn group_name<Data>(group: &Group<Data>) -> &CStr {
    // SAFETY: `group` is a valid reference.
    let raw = unsafe { <Group<Data> as HasGroup<Data>>::group(group) };
    // SAFETY: `Group::new()`, the only constructor, sets the name of the item, a string that ends
    // with a NUL and lives as long as the group. Nothing renames items.
    unsafe { CStr::from_char_ptr((*raw).cg_item.ci_name) }
}
