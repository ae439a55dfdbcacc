// SPDX-License-Identifier: GPL-2.0

//! Default groups: directories that are made and removed with the one that they are in.
//!
//! C header: [`include/linux/configfs.h`](srctree/include/linux/configfs.h)

use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{
        from_mut,
        NonNull, //
    }, //
};

use kernel::{
    configfs::{
        Group,
        HasGroup, //
    },
    container_of,
    prelude::*, //
};

use crate::bindings;

/// What puts the default groups of a group, allocated and not in use yet.
///
/// C drivers put them in `drop_item()`, and [`Group`] does not. Its `release()`, which is called when
/// the last reference has been put, would free the list of them. So a group that has some gets a type of
/// its own, the `release()` of which puts them before. A group that never gets into configfs does not
/// put them, so that its default groups are leaked.
pub(crate) struct DefaultGroups(KBox<MaybeUninit<Owner>>);

/// The type of a group that has default groups.
///
/// # Invariants
///
/// - `item_type` and `ops` are `original` and its operations, but for [`Self::release`].
/// - `original` is valid as long as the group, and has a `release()`.
struct Owner {
    ops: bindings::configfs_item_operations,
    item_type: bindings::config_item_type,
    original: *const bindings::config_item_type,
}

impl DefaultGroups {
    /// Allocates what it takes. May sleep.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(KBox::new_uninit(GFP_KERNEL)?))
    }

    /// Has `group` put its default groups.
    pub(crate) fn attach<Data: 'static>(self, group: Pin<&mut Group<Data>>) -> Attached<'_> {
        // SAFETY: Nothing is moved out of it.
        let group = from_mut(unsafe { group.get_unchecked_mut() });
        // SAFETY: `group` is valid.
        let raw = unsafe { <Group<Data> as HasGroup<Data>>::group(group) }.cast_mut();
        let owner = KBox::into_raw(self.0).cast::<Owner>();
        // SAFETY: A `Group` is initialized with an item type that is in its module and has a `release()`,
        // or was passed to this function before; both stay as long as the group. It is borrowed, so that
        // it is in no use by configfs, and its type can be changed. `owner` is valid for writes; it is
        // freed by `Owner::release()` only.
        // INVARIANT: It is initialized here.
        unsafe {
            let original = (*raw).cg_item.ci_type;
            owner.write(Owner {
                ops: bindings::configfs_item_operations {
                    release: Some(Owner::release),
                    ..*(*original).ct_item_ops
                },
                item_type: *original,
                original,
            });
            (*owner).item_type.ct_item_ops = &raw const (*owner).ops;
            (*raw).cg_item.ci_type = &raw const (*owner).item_type;
        }
        // INVARIANT: The type was set above.
        Attached(raw, PhantomData)
    }
}

/// A group that puts its default groups when it is released.
///
/// # Invariants
///
/// `self.0` is initialized and has the type of an [`Owner`]. configfs does not use it for `'a`.
pub(crate) struct Attached<'a>(*mut bindings::config_group, PhantomData<&'a mut ()>);

impl Attached<'_> {
    /// Adds a default group.
    ///
    /// # Safety
    ///
    /// `new_group` must be initialized, have a type, and never have been in a group. A reference of it is
    /// passed, which keeps its memory.
    pub(crate) unsafe fn add(&self, new_group: NonNull<bindings::config_group>) {
        // SAFETY: By the type invariant and the safety requirements of this function. The list is used by
        // configfs while the group is in it, during which the group has references; then it is emptied.
        unsafe { bindings::ext_configfs_add_default_group(new_group.as_ptr(), self.0) };
    }
}

impl Owner {
    /// # Safety
    ///
    /// Only configfs may call this, with the item of a group whose type is that of a `Self` and that has
    /// no reference any more.
    unsafe extern "C" fn release(item: *mut bindings::config_item) {
        // SAFETY: By the safety requirements of this function. The type was made by
        // `DefaultGroups::attach()`, and is used by nothing else: configfs has taken what it needs of it.
        let owner = unsafe {
            let item_type = (*item).ci_type.cast_mut();
            KBox::from_raw(container_of!(item_type, Self, item_type))
        };
        // SAFETY: By the safety requirements of this function the group is in configfs no more, and nothing
        // else uses its list, each entry of which has a reference by `Attached::add()`.
        unsafe {
            bindings::configfs_remove_default_groups(container_of!(
                item,
                bindings::config_group,
                cg_item
            ));
        }
        // SAFETY: By the type invariant. As for this function; the item is of the original type again.
        unsafe {
            (*item).ci_type = owner.original;
            let ops = (*owner.original).ct_item_ops;
            if let Some(release) = (*ops).release {
                release(item);
            }
        }
    }
}
