// SPDX-License-Identifier: GPL-2.0

//! The part of a request that is transferred.

use kernel::prelude::*;

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the device.
    Read,
    /// To the device.
    Write,
}

/// The part of a request that is transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The bytes to transfer; a multiple of the block size.
    pub(super) transfer: usize,
    /// The bytes to report to the issuer: for a read, those before the end of the file.
    pub(super) reported_bytes: usize,
}

/// Cuts a request of `len` bytes at `pos` to a file of `size` bytes.
///
/// `block` is the unit of direct I/O in bytes, a power of two. Reads end at the end of the file,
/// but transfer the whole of its last block. Writes do not extend the file.
///
/// # Errors
///
/// - `EINVAL`: position or length is not a multiple of `block`.
/// - `ENOSPC`: a write that begins at or behind the last whole block's end.
pub(super) fn range(
    direction: Direction,
    pos: u64,
    len: usize,
    size: u64,
    block: u32,
) -> Result<Range> {
    let block = u64::from(block);
    if len == 0 {
        return Ok(Range {
            transfer: 0,
            reported_bytes: 0,
        });
    }
    if (pos | len as u64) & (block - 1) != 0 {
        return Err(EINVAL);
    }
    let left = size.saturating_sub(pos);
    // CAST: The minimum with a `usize` is one.
    let clamp = |end: u64| end.min(len as u64) as usize;
    match direction {
        Direction::Read => Ok(Range {
            transfer: clamp((left + block - 1) & !(block - 1)),
            reported_bytes: clamp(left),
        }),
        Direction::Write => match clamp(left & !(block - 1)) {
            0 => Err(ENOSPC),
            bytes => Ok(Range {
                transfer: bytes,
                reported_bytes: bytes,
            }),
        },
    }
}

#[kunit_tests(rnull_dio_range)]
mod tests {
    use super::{Direction::*, *};

    const MIB: u64 = 1 << 20;

    /// Direction, position, length, size, block size; the bytes to transfer and to report.
    type Case = (Direction, u64, usize, u64, u32, Result<(usize, usize)>);

    fn check(cases: &[Case]) {
        for &(direction, pos, len, size, block, expected) in cases {
            let got =
                range(direction, pos, len, size, block).map(|r| (r.transfer, r.reported_bytes));
            if got != expected {
                pr_err!("{:?} {}+{} of {} by {}\n", direction, pos, len, size, block);
            }
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn alignment() {
        check(&[
            (Read, 0, 512, MIB, 512, Ok((512, 512))),
            (Read, 1, 512, MIB, 512, Err(EINVAL)),
            (Read, 0, 513, MIB, 512, Err(EINVAL)),
            (Read, 511, 512, MIB, 512, Err(EINVAL)),
            (Write, 0, 511, MIB, 512, Err(EINVAL)),
            (Write, 512, 512, MIB, 512, Ok((512, 512))),
            (Read, 512, 512, MIB, 4096, Err(EINVAL)),
            (Read, 4096, 512, MIB, 4096, Err(EINVAL)),
            (Write, 512, 4096, MIB, 4096, Err(EINVAL)),
            (Write, 4096, 8192, MIB, 4096, Ok((8192, 8192))),
            // Behind the end, alignment is checked first.
            (Read, MIB + 1, 512, MIB, 512, Err(EINVAL)),
            (Write, MIB + 1, 512, MIB, 512, Err(EINVAL)),
        ]);
    }

    #[test]
    fn end_of_file() {
        check(&[
            (Read, 0, 0, MIB, 512, Ok((0, 0))),
            (Read, 0, 4096, 0, 512, Ok((0, 0))),
            (Read, MIB, 4096, MIB, 512, Ok((0, 0))),
            (Read, MIB + 4096, 4096, MIB, 512, Ok((0, 0))),
            (Read, MIB - 4096, 4096, MIB, 512, Ok((4096, 4096))),
            (Read, MIB - 4096, 8192, MIB, 512, Ok((4096, 4096))),
            (Read, 0, 4096, 1, 512, Ok((512, 1))),
            (Read, 0, 4096, 513, 512, Ok((1024, 513))),
            (Read, 512, 4096, 513, 512, Ok((512, 1))),
            (Read, 0, 512, 513, 512, Ok((512, 512))),
            (Write, 0, 0, MIB, 512, Ok((0, 0))),
            (Write, MIB, 4096, MIB, 512, Err(ENOSPC)),
            (Write, MIB + 4096, 4096, MIB, 512, Err(ENOSPC)),
            (Write, MIB - 4096, 8192, MIB, 512, Ok((4096, 4096))),
            (Write, 512, 512, 1023, 512, Err(ENOSPC)),
            (Write, 0, 1024, 1023, 512, Ok((512, 512))),
        ]);
    }

    #[test]
    fn nothing_overflows() {
        let last = i64::MAX as u64 & !511;
        check(&[
            (Read, last, 512, i64::MAX as u64, 512, Ok((512, 511))),
            (Read, last, 1 << 30, i64::MAX as u64, 512, Ok((512, 511))),
            (Write, last, 512, i64::MAX as u64, 512, Err(ENOSPC)),
            (
                Write,
                last - 512,
                1 << 30,
                i64::MAX as u64,
                512,
                Ok((512, 512)),
            ),
        ]);
    }
}
