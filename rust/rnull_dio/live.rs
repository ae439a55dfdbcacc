// SPDX-License-Identifier: GPL-2.0

//! The direct I/O of mounted file systems that call `iomap_dio_rw()`.
//!
//! A request passes through these files in turn: [`rw`] gets it, [`passed`] decides whether the
//! kernel's own code does it, [`plan`] prepares it, [`submit`] and [`zeroes`] submit its bios along
//! the mappings of its file system, [`end_io`] collects the bios and chooses the context that runs
//! the rest of its completion, and [`complete`] is that rest. The [`worker`] is the context for what
//! sleeps: it takes requests from a [`queue`], and completes a [`batch`] at a time.
//!
//! Such a request is counted in `i_dio_count` until its file system has been told of its end. So it
//! is never handed over to its issuer, which may be waiting for the count to be zero.
//!
//! [`configfs`] attaches file systems.

mod batch;
mod complete;
mod configfs;
mod end_io;
mod fs;
mod item;
mod passed;
mod plan;
mod queue;
mod request;
mod rw;
mod submit;
mod sync_range;
mod target;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod worker;
mod zeroes;

pub(crate) use self::configfs::{
    subsystem,
    Root, //
};
