// SPDX-License-Identifier: GPL-2.0

//! The signature without which no device is mounted.
//!
//! It fills the first block, of [`SIZE`] bytes, with these fields, little endian, and zeroes
//! behind them:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `rnulldio` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | where the file `data` begins, in bytes |
//! | 24 | 8 | the size of the file system in bytes, this block included |

use kernel::prelude::*;

use kernel_ext::block::BlockDevice;

const SIZE: usize = 4096;
const MAGIC: &[u8; 8] = b"rnulldio";
const VERSION: u32 = 1;

/// Why a device is not a diofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The signature cannot be read.
    Unreadable(Error),
    /// The signature is not there.
    NoSignature,
    /// The signature is of another version.
    Version(u32),
    /// The signature speaks of a place for the data that cannot be.
    Layout,
    /// The signature speaks of more than the device has.
    DeviceTooSmall,
}

impl Refusal {
    /// What to tell the administrator.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "cannot read the first block",
            Self::NoSignature => "no diofs signature, run mkfs.diofs on it first",
            Self::Version(_) => "a diofs of another version",
            Self::Layout => "damaged signature, data begins or ends where it cannot",
            Self::DeviceTooSmall => "the device is smaller than the file system",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Unreadable(err) => err,
            _ => EINVAL,
        }
    }
}

/// What the signature tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// In bytes.
    data_start: u64,
    /// In bytes.
    fs_len: u64,
}

impl Signature {
    /// Reads the signature of `device`. Sleeps and does I/O.
    pub(super) fn read(device: &BlockDevice) -> Result<Self, Refusal> {
        let mut block =
            KVec::from_elem(0u8, SIZE, GFP_KERNEL).map_err(|_| Refusal::Unreadable(ENOMEM))?;
        device
            .read_sync(0, &mut block)
            .map_err(Refusal::Unreadable)?;
        Self::parse(&block, device.nr_bytes(), device.logical_block_size())
    }

    fn parse(block: &[u8], device_len: u64, block_size: u32) -> Result<Self, Refusal> {
        if !block.starts_with(MAGIC) {
            return Err(Refusal::NoSignature);
        }
        let u32_at = |at| {
            field(block, at)
                .map(u32::from_le_bytes)
                .ok_or(Refusal::NoSignature)
        };
        let u64_at = |at| {
            field(block, at)
                .map(u64::from_le_bytes)
                .ok_or(Refusal::NoSignature)
        };
        match u32_at(8)? {
            VERSION => (),
            other => return Err(Refusal::Version(other)),
        }
        let signature = Self {
            data_start: u64_at(16)?,
            fs_len: u64_at(24)?,
        };
        let aligned = |bytes: u64| bytes & (u64::from(block_size) - 1) == 0;
        if signature.data_start < SIZE as u64
            || signature.data_start >= signature.fs_len
            || !aligned(signature.data_start)
            || !aligned(signature.fs_len)
        {
            return Err(Refusal::Layout);
        }
        if signature.fs_len > device_len {
            return Err(Refusal::DeviceTooSmall);
        }
        Ok(signature)
    }

    /// Where the data begins on the device, in sectors of 512 bytes.
    pub(super) fn data_sector(&self) -> u64 {
        self.data_start / 512
    }

    /// How much data there is, in bytes.
    pub(super) fn data_len(&self) -> u64 {
        self.fs_len - self.data_start
    }
}

/// The `N` bytes at `at`.
fn field<const N: usize>(block: &[u8], at: usize) -> Option<[u8; N]> {
    block.get(at..at + N)?.try_into().ok()
}

#[kunit_tests(rnull_dio_signature)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn block(magic: &[u8; 8], version: u32, data_start: u64, fs_len: u64) -> [u8; 32] {
        let mut block = [0; 32];
        block[..8].copy_from_slice(magic);
        block[8..12].copy_from_slice(&version.to_le_bytes());
        block[16..24].copy_from_slice(&data_start.to_le_bytes());
        block[24..].copy_from_slice(&fs_len.to_le_bytes());
        block
    }

    #[test]
    fn good_signature() {
        let good = block(MAGIC, 1, 65536, MIB);
        let signature = Signature::parse(&good, MIB, 512);
        assert_eq!(
            signature,
            Ok(Signature {
                data_start: 65536,
                fs_len: MIB
            })
        );
        assert_eq!(signature.map(|s| s.data_sector()), Ok(128));
        assert_eq!(signature.map(|s| s.data_len()), Ok(MIB - 65536));
        // A device may grow.
        assert_eq!(Signature::parse(&good, 2 * MIB, 512), signature);
    }

    #[test]
    fn bad_signatures() {
        for (block, expected) in [
            ([0; 32], Refusal::NoSignature),
            (block(b"RNULLDIO", 1, 65536, MIB), Refusal::NoSignature),
            (block(MAGIC, 2, 65536, MIB), Refusal::Version(2)),
            (block(MAGIC, 1, 0, MIB), Refusal::Layout),
            (block(MAGIC, 1, 512, MIB), Refusal::Layout),
            (block(MAGIC, 1, 65536 + 512, MIB), Refusal::Layout),
            (block(MAGIC, 1, MIB, MIB), Refusal::Layout),
            (block(MAGIC, 1, u64::MAX, MIB), Refusal::Layout),
            (block(MAGIC, 1, 65536, MIB - 512), Refusal::Layout),
            (block(MAGIC, 1, 65536, 2 * MIB), Refusal::DeviceTooSmall),
            (
                block(MAGIC, 1, 65536, u64::MAX & !4095),
                Refusal::DeviceTooSmall,
            ),
        ] {
            assert_eq!(Signature::parse(&block, MIB, 4096), Err(expected));
        }
        assert_eq!(Signature::parse(MAGIC, MIB, 512), Err(Refusal::NoSignature));
    }
}
