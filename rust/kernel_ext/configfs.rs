// SPDX-License-Identifier: GPL-2.0

//! configfs: what `kernel::configfs` does not tell.
//!
//! C header: [`include/linux/configfs.h`](srctree/include/linux/configfs.h)

use kernel::{
    configfs::{
        Group,
        HasGroup, //
    },
    prelude::*, //
};

/// Returns the name of the directory that stands for `group`.
///
/// `GroupOperations::drop_item` is given a [`Group`] whose data it cannot reach: it knows the
/// directory that goes away by this name.
pub fn group_name<Data>(group: &Group<Data>) -> &CStr {
    // SAFETY: `group` is a valid reference.
    let raw = unsafe { <Group<Data> as HasGroup<Data>>::group(group) };
    // SAFETY: `Group::new()`, the only constructor, sets the name of the item, a string that ends
    // with a NUL and lives as long as the group. Nothing renames items.
    unsafe { CStr::from_char_ptr((*raw).cg_item.ci_name) }
}
