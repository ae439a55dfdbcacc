// SPDX-License-Identifier: GPL-2.0

//! Abstractions for direct I/O, block drivers and file systems.
//!
//! Files are laid out as they would be in `rust/kernel/`, one abstraction a file, so that each can
//! move there on its own.
