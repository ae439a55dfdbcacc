// SPDX-License-Identifier: GPL-2.0

//! The operations of a disk that are not those of its queue.
//!
//! C header: [`include/linux/blkdev.h`](srctree/include/linux/blkdev.h)

use core::{
    marker::PhantomData,
    ptr, //
};

use crate::{
    bindings,
    compat::module::this_module, //
};

#[cfg(CONFIG_BLK_DEV_ZONED)]
use super::zones::ZoneCallbacks;
use super::Operations;

/// The C callbacks of the disks of a driver.
pub(super) struct Fops<T: Operations>(PhantomData<T>);

impl<T: Operations> Fops<T> {
    pub(super) const TABLE: bindings::block_device_operations = bindings::block_device_operations {
        submit_bio: None,
        poll_bio: None,
        open: None,
        release: None,
        ioctl: None,
        compat_ioctl: None,
        check_events: None,
        unlock_native_capacity: None,
        getgeo: None,
        set_read_only: None,
        #[cfg(CONFIG_BLK_DEV_ZONED)]
        free_disk: Some(ZoneCallbacks::<T::Zones>::free_disk),
        #[cfg(not(CONFIG_BLK_DEV_ZONED))]
        free_disk: None,
        swap_slot_free_notify: None,
        #[cfg(CONFIG_BLK_DEV_ZONED)]
        report_zones: Some(ZoneCallbacks::<T::Zones>::report_zones),
        #[cfg(not(CONFIG_BLK_DEV_ZONED))]
        report_zones: None,
        devnode: None,
        get_unique_id: None,
        owner: this_module::<T::Module>().as_ptr(),
        pr_ops: ptr::null(),
        alternative_gpt_sector: None,
    };
}
