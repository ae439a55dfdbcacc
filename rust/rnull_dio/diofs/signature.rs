// SPDX-License-Identifier: GPL-2.0

//! The signature of a device with a diofs.
//!
//! It fills the first [`SIZE`] bytes of the device, with these fields in little endian, and zeroes
//! behind them:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `rnulldio` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | the start of the file `data`, in bytes |
//! | 24 | 8 | the size of the file system in bytes, this block included |

use kernel::{
    fmt,
    page::PAGE_SIZE,
    prelude::*, //
};

use kernel_ext::{
    block::{
        bio::Bio,
        BlockDevice, //
    },
    context::MayIo, //
};

const SIZE: usize = 4096;
const MAGIC: &[u8; 8] = b"rnulldio";
const VERSION: u32 = 1;

/// The reason for which a device is not mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The logical blocks of the device are larger than a page.
    BlockSize(u32),
    /// The signature cannot be read.
    Unreadable(Error),
    /// There is no signature.
    NoSignature,
    /// The signature is of another version.
    Version(u32),
    /// The signature has an impossible place for the data.
    Layout,
    /// The file system is larger than the device.
    DeviceTooSmall,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockSize(bytes) => write!(
                f,
                "logical blocks of {bytes} bytes are larger than a page ({PAGE_SIZE} bytes)"
            ),
            Self::Unreadable(err) => {
                write!(f, "cannot read the first block: error {}", err.to_errno())
            }
            Self::NoSignature => write!(f, "no diofs signature, run mkfs.diofs on it first"),
            Self::Version(version) => {
                write!(
                    f,
                    "a diofs of version {version}, only {VERSION} is supported"
                )
            }
            Self::Layout => write!(f, "damaged signature: impossible place of the data"),
            Self::DeviceTooSmall => write!(f, "the device is smaller than the file system"),
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

/// The contents of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The start of the data in bytes.
    data_start: u64,
    /// The size of the file system in bytes.
    fs_len: u64,
}

impl Signature {
    /// Reads the signature of `device`. Sleeps and does I/O.
    ///
    /// # Errors
    ///
    /// The reason for which the device cannot be mounted.
    pub(super) fn read(device: &BlockDevice, io: &MayIo) -> Result<Self, Refusal> {
        let block_size = device.logical_block_size();
        // CAST: From 32 bits to 64.
        if block_size as usize > PAGE_SIZE {
            return Err(Refusal::BlockSize(block_size));
        }
        // CAST: As above.
        let len = SIZE.max(block_size as usize);
        let mut block =
            KVec::from_elem(0u8, len, GFP_KERNEL).map_err(|_| Refusal::Unreadable(ENOMEM))?;
        Bio::read(device, 0, &mut block, io)
            .and_then(|bio| bio.submit_and_wait(io))
            .map_err(Refusal::Unreadable)?;
        Self::parse(&block, device.nr_bytes(), block_size)
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

    /// Returns the first sector of the data on the device, in units of 512 bytes.
    pub(super) fn data_sector(&self) -> u64 {
        self.data_start / 512
    }

    /// Returns the size of the data in bytes.
    pub(super) fn data_len(&self) -> u64 {
        self.fs_len - self.data_start
    }
}

/// Returns the `N` bytes at `at`.
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
