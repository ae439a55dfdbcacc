// SPDX-License-Identifier: GPL-2.0

//! The file that a disk keeps its data in.

use kernel::{
    fmt,
    prelude::*, //
};

use kernel_ext::{
    compat::error::code::{
        ELOOP,
        EOPNOTSUPP, //
    },
    fs::backing_file::{
        Access,
        BackingFile, //
    }, //
};

use super::{
    nesting::MAX_LEVELS,
    Config, //
};

/// An open file, and how much of it a disk has.
pub(crate) struct Backing {
    pub(super) file: BackingFile,
    /// The capacity, a whole number of blocks.
    pub(super) bytes: u64,
}

impl Backing {
    /// Opens the file, if the disk has one. Sleeps and does I/O.
    pub(super) fn open(config: &Config) -> Result<Option<Self>, Unusable> {
        let Some(path) = config.backing_file.get() else {
            return Ok(None);
        };
        let access = if config.direct_io {
            Access::Direct
        } else {
            Access::Buffered
        };
        let file = BackingFile::open(path, access, config.backing_offset);
        Self::new(config, file.map_err(Unusable::Open)?).map(Some)
    }

    /// Checks the attributes against the file.
    pub(super) fn new(config: &Config, mut file: BackingFile) -> Result<Self, Unusable> {
        let unit = file.alignment().unit;
        if config.blocksize % unit != 0 {
            return Err(Unusable::Blocks(unit));
        }
        if config.backing_offset % u64::from(unit) != 0 {
            return Err(Unusable::Offset(unit));
        }
        if config.discard && !file.may_deallocate() {
            return Err(Unusable::Discards);
        }
        if config.polls_a_file() {
            file.prepare_polling().map_err(|err| match err {
                EOPNOTSUPP => Unusable::Unpollable,
                other => Unusable::Open(other),
            })?;
        }
        let bytes = config.bytes().unwrap_or(file.bytes());
        if bytes > file.bytes() {
            return Err(Unusable::Short(file.bytes()));
        }
        let bytes = bytes - bytes % u64::from(config.blocksize);
        if bytes == 0 {
            return Err(Unusable::Short(file.bytes()));
        }
        Ok(Self { file, bytes })
    }
}

/// Why a file cannot be used with the attributes of a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unusable {
    /// It cannot be opened.
    Open(Error),
    /// `blocksize` is no multiple of this unit of direct I/O.
    Blocks(u32),
    /// `backing_offset` is no multiple of this unit of direct I/O.
    Offset(u32),
    /// It has no more than these bytes.
    Short(u64),
    /// It cannot free space.
    Discards,
    /// It cannot be polled.
    Unpollable,
    /// It is on the highest disk that may have another one in a file on it.
    Nested,
}

impl From<Unusable> for Error {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Open(error) => error,
            Unusable::Discards | Unusable::Unpollable => EOPNOTSUPP,
            Unusable::Nested => ELOOP,
            _ => EINVAL,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Open(ENOENT) => f.write_str("backing_file: there is no such file"),
            Self::Open(EBUSY) => f.write_str("backing_file: the block device is in use"),
            Self::Open(EINVAL) => f.write_str(
                "backing_file: it is no regular file or block device, or it has no direct I/O",
            ),
            Self::Open(error) => write!(f, "backing_file cannot be opened: {error:?}"),
            Self::Blocks(unit) => write!(
                f,
                "blocksize is less than the {unit} bytes in which the file takes direct I/O"
            ),
            Self::Offset(unit) => write!(
                f,
                "backing_offset is no multiple of the {unit} bytes in which the file takes direct I/O"
            ),
            Self::Short(bytes) => write!(
                f,
                "the file has {bytes} bytes from backing_offset on, which is less than size or blocksize"
            ),
            Self::Discards => f.write_str("discard: the file cannot free space"),
            Self::Unpollable => f.write_str(
                "poll_queues: the file cannot be polled, or its device has no poll queues",
            ),
            Self::Nested => write!(
                f,
                "backing_file: it is on {MAX_LEVELS} disks in files, which is the limit"
            ),
        }
    }
}

#[kunit_tests(rnull_dio_disk_backing)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn capacity(config: &Config, bytes: u64) -> Result<Result<u64, Unusable>> {
        let file = BackingFile::in_memory(bytes, Access::Direct, config.backing_offset)?;
        Ok(Backing::new(config, file).map(|backing| backing.bytes))
    }

    fn config(size: u64, backing_offset: u64) -> Result<Config> {
        Ok(Config {
            size,
            backing_offset,
            backing_file: c"/image".try_into()?,
            ..Config::default()
        })
    }

    #[test]
    fn a_disk_has_the_whole_blocks_of_its_file() -> Result {
        for (size, offset, bytes, expected) in [
            (0, 0, 3 * MIB, Ok(3 * MIB)),
            (0, 0, 3 * MIB + 4095, Ok(3 * MIB)),
            (0, 512, 3 * MIB, Ok(3 * MIB - 4096)),
            (3, 0, 3 * MIB, Ok(3 * MIB)),
            (2, MIB, 3 * MIB, Ok(2 * MIB)),
            (3, 512, 3 * MIB, Err(Unusable::Short(3 * MIB - 512))),
            (0, 0, 4095, Err(Unusable::Short(4095))),
            (0, 3 * MIB, 3 * MIB, Err(Unusable::Short(0))),
            (0, 4 * MIB, 3 * MIB, Err(Unusable::Short(0))),
            (0, 1, 3 * MIB, Err(Unusable::Offset(512))),
        ] {
            assert_eq!(capacity(&config(size, offset)?, bytes)?, expected);
        }
        Ok(())
    }

    #[test]
    fn so_does_a_disk_with_blocks_larger_than_a_page() -> Result {
        let config = Config {
            blocksize: 65536,
            ..config(0, 0)?
        };
        assert_eq!(capacity(&config, 3 * MIB + 65535)?, Ok(3 * MIB));
        assert_eq!(capacity(&config, 65535)?, Err(Unusable::Short(65535)));
        Ok(())
    }

    #[test]
    fn a_file_in_memory_cannot_be_polled() -> Result {
        let polled = Config {
            poll_queues: 1,
            ..config(0, 0)?
        };
        assert_eq!(capacity(&polled, MIB)?, Err(Unusable::Unpollable));
        Ok(())
    }
}
