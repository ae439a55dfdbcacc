// SPDX-License-Identifier: GPL-2.0

//! Points of fault injection that are freed with their last reference.
//!
//! C header: [`include/linux/fault-inject.h`](srctree/include/linux/fault-inject.h)

use core::ptr::NonNull;

use kernel::{
    container_of,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

use crate::bindings;

/// A point of fault injection, with its directory.
///
/// The type of a `fault_config`'s directory has no `release()`: it is for those whose memory belongs to
/// the group that they are in. But a task that resolves a path may hold a reference to the directory for
/// longer than that group exists. So this has a type of its own, with the same files.
///
/// # Invariants
///
/// - `config` is initialized, and its item is of the type `item_type`, with [`Self::release`].
/// - The references of the item are those of this object, which is in memory from a [`KBox`].
pub(super) struct Item {
    config: Opaque<bindings::fault_config>,
    item_type: Opaque<bindings::config_item_type>,
}

// SAFETY: A directory belongs to no task.
unsafe impl Send for Item {}

// SAFETY: The C functions that use `config` may be called by several tasks at a time: those of configfs
// lock, and `should_fail()` and the functions of the files take values that are not exact.
unsafe impl Sync for Item {}

// SAFETY: The count is that of the item, which all instances have by the type invariant.
unsafe impl AlwaysRefCounted for Item {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant the item is initialized, and `self` shows that its count is not
        // zero.
        unsafe { bindings::config_item_get(self.item()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the safety requirements of this function there is a reference to put.
        unsafe { bindings::config_item_put(obj.as_ref().item()) };
    }
}

impl Item {
    const OPS: bindings::configfs_item_operations = bindings::configfs_item_operations {
        release: Some(Self::release),
        allow_link: None,
        drop_link: None,
    };

    /// Makes a point at which nothing fails, with a directory that is in no group.
    pub(super) fn new(name: &CStr) -> Result<ARef<Self>> {
        let memory = KBox::new(
            Self {
                config: Opaque::zeroed(),
                item_type: Opaque::zeroed(),
            },
            GFP_KERNEL,
        )?;
        let this = KBox::into_raw(memory);
        // SAFETY: `this` is valid, and nothing else uses it. The memory of a `fault_config` has to be
        // zeroed. Its type is in the kernel, and stays there.
        // INVARIANT: All of it is initialized here, with a count of 1, which is the returned reference.
        let this = unsafe {
            let config = (*this).config.get();
            bindings::ext_fault_config_init(config, name.as_char_ptr());
            let item = &raw mut (*config).group.cg_item;
            let item_type = (*this).item_type.get();
            item_type.write(bindings::config_item_type {
                ct_item_ops: &Self::OPS,
                ..*(*item).ci_type
            });
            (*item).ci_type = item_type;
            ARef::from_raw(NonNull::new_unchecked(this))
        };
        // SAFETY: By the type invariant.
        if unsafe { (*this.item()).ci_name }.is_null() {
            // A long name, for which there was no memory.
            return Err(ENOMEM);
        }
        Ok(this)
    }

    #[inline]
    pub(super) fn should_fail(&self) -> bool {
        // SAFETY: By the type invariant. null_blk counts requests, too, whatever their size is.
        unsafe { bindings::should_fail(&raw mut (*self.config.get()).attr, 1) }
    }

    /// Returns the group of the directory. The reference becomes one of the group.
    pub(super) fn into_group(this: ARef<Self>) -> NonNull<bindings::config_group> {
        let this = ARef::into_raw(this);
        // SAFETY: The reference keeps the object, of which the group is a part.
        unsafe { NonNull::new_unchecked(&raw mut (*this.as_ref().config.get()).group) }
    }

    pub(super) fn item(&self) -> *mut bindings::config_item {
        // SAFETY: A part of `self`.
        unsafe { &raw mut (*self.config.get()).group.cg_item }
    }

    /// # Safety
    ///
    /// Only configfs may call this, with the item of a `Self` that has no reference any more.
    unsafe extern "C" fn release(item: *mut bindings::config_item) {
        // SAFETY: By the safety requirements of this function and the type invariant. configfs does not
        // use the item or its type after this call.
        drop(unsafe {
            let group = container_of!(item, bindings::config_group, cg_item);
            let config = container_of!(group, bindings::fault_config, group);
            let config: *mut Opaque<bindings::fault_config> = config.cast();
            KBox::from_raw(container_of!(config, Self, config))
        });
    }
}
