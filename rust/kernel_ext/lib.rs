// SPDX-License-Identifier: GPL-2.0

//! Kernel abstractions that `rust/kernel` does not have yet.
//!
//! All unsafe code of the module is in this crate. Outside of [`dio`] and [`aio`], files are laid out
//! as they would lie under `rust/kernel/`, one abstraction a file, so that each can go upstream on its
//! own. [`dio`] is the unsafe half of the direct I/O engine. It uses the others; none of them uses
//! it. [`aio`] is the unsafe half of Linux AIO. It uses all others, and [`dio`].

#![deny(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

/// C symbols that the kernel's `bindings` crate lacks.
#[allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    clippy::undocumented_unsafe_blocks,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::cast_lossless,
    clippy::as_underscore
)]
pub(crate) mod bindings {
    include!(env!("RNULL_DIO_BINDINGS"));
}

pub mod aio;
pub mod block;
pub mod compat;
pub mod configfs;
pub mod context;
pub(crate) mod cred;
pub mod debugfs;
pub mod dio;
pub mod eventfd;
pub mod fault_inject;
pub mod fs;
pub mod ftrace;
pub mod io_uring;
pub mod iov;
pub mod numa;
pub mod page_map;
pub mod percpu;
pub mod percpu_pool;
pub mod percpu_ref;
pub mod signal;
pub(crate) mod slab;
pub mod sync;
pub mod sysctl;
pub mod task;
pub mod task_work;
pub mod workqueue;

/// The prefix of this crate's lines in the log: it is linked into the module.
const __LOG_PREFIX: &[u8] = b"rnull_dio\0";
