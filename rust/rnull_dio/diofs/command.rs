// SPDX-License-Identifier: GPL-2.0

//! Decoding of io_uring commands.

use kernel::{
    prelude::*,
    transmute::FromBytes, //
};

use kernel_ext::{
    compat::error::code::EOPNOTSUPP,
    dio::{
        uapi::{
            rnull_dio_uring_cmd,
            RNULL_DIO_DSYNC,
            RNULL_DIO_URING_CMD_READ,
            RNULL_DIO_URING_CMD_WRITE, //
        },
        uring::Transfer, //
    },
    io_uring::PAYLOAD, //
};

/// Decodes the command `op`.
///
/// # Errors
///
/// - `EOPNOTSUPP`: an unknown command.
/// - `EINVAL`: a flag is unknown, or not for this command.
pub(super) fn decode(op: u32, payload: &[u8; PAYLOAD]) -> Result<Transfer> {
    let write = match op {
        RNULL_DIO_URING_CMD_READ => false,
        RNULL_DIO_URING_CMD_WRITE => true,
        _ => return Err(EOPNOTSUPP),
    };
    let cmd = rnull_dio_uring_cmd::from_bytes_copy(payload).ok_or(EINVAL)?;
    let known = if write { RNULL_DIO_DSYNC } else { 0 };
    if cmd.flags & !known != 0 || cmd.reserved != 0 {
        return Err(EINVAL);
    }
    Ok(Transfer {
        write,
        pos: cmd.pos,
        dsync: cmd.flags & RNULL_DIO_DSYNC != 0,
    })
}

#[kunit_tests(rnull_dio_command)]
mod tests {
    use super::*;

    fn payload(pos: u64, flags: u32, reserved: u32) -> [u8; PAYLOAD] {
        let mut payload = [0; PAYLOAD];
        payload[..8].copy_from_slice(&pos.to_ne_bytes());
        payload[8..12].copy_from_slice(&flags.to_ne_bytes());
        payload[12..].copy_from_slice(&reserved.to_ne_bytes());
        payload
    }

    #[test]
    fn known_commands() {
        for (op, flags, write, dsync) in [
            (RNULL_DIO_URING_CMD_READ, 0, false, false),
            (RNULL_DIO_URING_CMD_WRITE, 0, true, false),
            (RNULL_DIO_URING_CMD_WRITE, RNULL_DIO_DSYNC, true, true),
        ] {
            let pos = 0x0123_4567_89ab_cdef;
            let expected = Transfer { write, pos, dsync };
            assert_eq!(decode(op, &payload(pos, flags, 0)), Ok(expected));
        }
    }

    #[test]
    fn unknown_commands() {
        let (read, write) = (RNULL_DIO_URING_CMD_READ, RNULL_DIO_URING_CMD_WRITE);
        for (op, flags, reserved, err) in [
            (0, 0, 0, EOPNOTSUPP),
            (u32::MAX, 0, 0, EOPNOTSUPP),
            (read ^ (1 << 31), 0, 0, EOPNOTSUPP),
            (read, RNULL_DIO_DSYNC, 0, EINVAL),
            (read, 0, 1, EINVAL),
            (write, 2, 0, EINVAL),
            (write, 1 << 31, 0, EINVAL),
            (write, RNULL_DIO_DSYNC, 1 << 31, EINVAL),
        ] {
            assert_eq!(decode(op, &payload(0, flags, reserved)), Err(err));
        }
    }
}
