// SPDX-License-Identifier: GPL-2.0

//! Types and constants that user space uses, from `include/uapi/rnull_dio.h`.

use kernel::transmute::FromBytes;

use crate::bindings;

pub use bindings::{
    rnull_dio_uring_cmd,
    EXT_RNULL_DIO_DSYNC as RNULL_DIO_DSYNC,
    EXT_RNULL_DIO_URING_CMD_READ as RNULL_DIO_URING_CMD_READ,
    EXT_RNULL_DIO_URING_CMD_WRITE as RNULL_DIO_URING_CMD_WRITE, //
};

// SAFETY: All values of its fields are valid, and there is no padding between them.
unsafe impl FromBytes for rnull_dio_uring_cmd {}
