// SPDX-License-Identifier: GPL-2.0

//! The block layer, from below and from above.

pub mod bio;
pub mod block_device;
pub mod plug;

pub use self::block_device::BlockDevice;
