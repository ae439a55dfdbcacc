// SPDX-License-Identifier: GPL-2.0

//! Types for working with the block layer.

use kernel::{
    prelude::*,
    str::{
        BStr,
        CString, //
    }, //
};

use crate::bindings;

pub mod badblocks;
pub mod bio;
pub mod block_device;
pub mod error;
pub mod mq;
pub mod plug;
pub mod poll;

pub use self::{
    block_device::{
        BdevFile,
        BlockDevice, //
    },
    error::{
        BlkError,
        BlkResult, //
    }, //
};

/// Bit shift between bytes and sectors of 512 bytes.
pub const SECTOR_SHIFT: u32 = 9;

/// The largest logical block that the block layer has, in bytes: that of a page, or more if the page
/// cache can have such folios.
pub const MAX_BLOCK_SIZE: u32 = bindings::EXT_BLK_MAX_BLOCK_SIZE;

/// Returns whether `/dev/NAME` is a block device.
///
/// A hint: the answer may be out of date at once, and false where `/dev` is not that of the system.
/// Adding a disk whose name is taken fails anyway, but leaves a stack trace in the log. May sleep.
pub fn disk_name_in_use(name: &CStr) -> bool {
    let Ok(path) = CString::try_from_fmt(fmt!("/dev/{}", BStr::from_bytes(name.to_bytes()))) else {
        return false;
    };
    let mut dev = 0;
    // SAFETY: The path is a string that ends with a NUL, and `dev` outlives the call.
    unsafe { bindings::lookup_bdev(path.as_char_ptr(), &mut dev) == 0 }
}
