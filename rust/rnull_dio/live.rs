// SPDX-License-Identifier: GPL-2.0

//! The direct I/O of mounted file systems that call `iomap_dio_rw()`.
//!
//! [`configfs`] attaches a file system: from then on the [engine](crate::dio) gets its requests, as
//! those of [`AttachedFiles`](attached::AttachedFiles).
//!
//! Such a request is counted in `i_dio_count` until its file system has been told of its end. So it
//! is never handed over to its issuer, which may be waiting for the count to be zero.

mod attached;
mod configfs;
mod item;

pub(crate) use self::configfs::{
    subsystem,
    Root, //
};
