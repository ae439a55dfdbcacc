// SPDX-License-Identifier: GPL-2.0

//! Commands of io_uring (`IORING_OP_URING_CMD`).
//!
//! io_uring passes a command to its file, which answers with the result or, later, in a task of
//! io_uring's choice: the issuer's, if that is still there. [`transfer`] makes requests for direct
//! I/O of them, without a system call's way in between.
//!
//! C header: [`include/linux/io_uring/cmd.h`](srctree/include/linux/io_uring/cmd.h)

mod cmd;
pub mod transfer;

pub(crate) use self::cmd::{
    IssuedCmd,
    QueuedCmd, //
};

pub use self::{
    cmd::PAYLOAD,
    transfer::Transfer, //
};
