// SPDX-License-Identifier: GPL-2.0

//! Commands of io_uring (`IORING_OP_URING_CMD`).
//!
//! io_uring passes a command to its file, which answers with the result at once, or later in a task
//! that io_uring chooses: the issuer's, unless that is gone.
//!
//! C header: [`include/linux/io_uring/cmd.h`](srctree/include/linux/io_uring/cmd.h)

mod cmd;

pub(crate) use self::cmd::QueuedCmd;
pub use self::cmd::{
    IssuedCmd,
    PolledCmd,
    QueuedRequest,
    PAYLOAD, //
};
