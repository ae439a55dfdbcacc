// SPDX-License-Identifier: GPL-2.0

//! Synchronization primitives.

pub mod counter;
pub mod llist;
