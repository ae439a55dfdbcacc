// SPDX-License-Identifier: GPL-2.0

//! The attributes of a disk.

use kernel::{
    cpu::nr_cpu_ids,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::{
        kstrtobool_bytes,
        parse_int::ParseInt,
        BStr, //
    }, //
};
use kernel_ext::block::mq::QueueCounts;

/// Limit of `size`: beyond it bytes do not fit into a `loff_t`.
const MAX_SIZE_MIB: u64 = (1 << 43) - 1;

/// Limit of `completion_nsec`: 10 s. Power-off waits for it, and hung task detection should not
/// wake up.
const MAX_COMPLETION_NSEC: u64 = 10_000_000_000;

/// Limit of `hw_queue_depth`, that of blk-mq.
const MAX_QUEUE_DEPTH: u64 = 10240;

/// Where and when a request ends that is not polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IrqMode {
    /// At once, in the context of the submitter.
    None,
    /// In a soft interrupt, or wherever the block layer completes requests.
    SoftIrq,
    /// In a hard interrupt, when a timer fires.
    Timer,
}

/// The attributes of a disk. [`Default`] has the values that a new directory has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Config {
    /// Capacity in MiB.
    pub(crate) size_mib: u64,
    /// Logical and physical block size in bytes: a power of two from 512 to the size of a page.
    pub(crate) blocksize: u32,
    /// Whether the disk says that it rotates.
    pub(crate) rotational: bool,
    /// Whether data are kept, in memory.
    pub(crate) memory_backed: bool,
    /// Where and when a request ends.
    pub(crate) irqmode: IrqMode,
    /// Time in ns from submission to completion with [`IrqMode::Timer`].
    pub(crate) completion_nsec: u64,
    /// Hardware queues for I/O that is not polled.
    pub(crate) submit_queues: u32,
    /// Hardware queues for polled I/O.
    pub(crate) poll_queues: u32,
    /// Requests of each hardware queue.
    pub(crate) hw_queue_depth: u32,
    /// Whether the disk says that it has a volatile write cache, and so is sent flushes.
    pub(crate) write_cache: bool,
    /// Whether the disk says that it can write through its cache. Without one it means nothing.
    pub(crate) fua: bool,
    /// Whether the disk knows discards.
    pub(crate) discard: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            size_mib: 4096,
            blocksize: 4096,
            rotational: false,
            memory_backed: false,
            irqmode: IrqMode::None,
            completion_nsec: 10_000,
            submit_queues: 1,
            poll_queues: 0,
            hw_queue_depth: 64,
            write_cache: false,
            fua: false,
            discard: false,
        }
    }
}

macro_rules! attributes {
    ($($variant:ident: $name:literal,)*) => {
        /// An attribute that is set before power-on.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Attribute {
            $(
                #[doc = concat!("`", $name, "`.")]
                $variant,
            )*
        }

        impl Attribute {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name of the file.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

attributes! {
    Size: "size",
    BlockSize: "blocksize",
    Rotational: "rotational",
    MemoryBacked: "memory_backed",
    IrqMode: "irqmode",
    CompletionNsec: "completion_nsec",
    SubmitQueues: "submit_queues",
    PollQueues: "poll_queues",
    HwQueueDepth: "hw_queue_depth",
    WriteCache: "write_cache",
    Fua: "fua",
    Discard: "discard",
}

impl Config {
    /// Sets an attribute from the text of a user. Fails with [`EINVAL`] if that is nonsense.
    pub(crate) fn set(&mut self, attribute: Attribute, text: &BStr) -> Result {
        match attribute {
            Attribute::Size => self.size_mib = number(text, 1, MAX_SIZE_MIB)?,
            Attribute::BlockSize => self.blocksize = block_size(text)?,
            Attribute::Rotational => self.rotational = boolean(text)?,
            Attribute::MemoryBacked => self.memory_backed = boolean(text)?,
            Attribute::IrqMode => self.irqmode = irqmode(text)?,
            Attribute::CompletionNsec => {
                self.completion_nsec = number(text, 0, MAX_COMPLETION_NSEC)?
            }
            Attribute::SubmitQueues => self.submit_queues = number32(text, 1, nr_cpu_ids())?,
            Attribute::PollQueues => self.poll_queues = number32(text, 0, nr_cpu_ids())?,
            Attribute::HwQueueDepth => {
                self.hw_queue_depth = number32(text, 1, MAX_QUEUE_DEPTH as u32)?
            }
            Attribute::WriteCache => self.write_cache = boolean(text)?,
            Attribute::Fua => self.fua = boolean(text)?,
            Attribute::Discard => self.discard = boolean(text)?,
        }
        Ok(())
    }

    /// Writes the value of an attribute, and a newline.
    pub(crate) fn show(&self, attribute: Attribute, f: &mut impl fmt::Write) -> fmt::Result {
        let value = match attribute {
            Attribute::Size => self.size_mib,
            Attribute::BlockSize => self.blocksize.into(),
            Attribute::Rotational => self.rotational.into(),
            Attribute::MemoryBacked => self.memory_backed.into(),
            Attribute::IrqMode => self.irqmode as u64,
            Attribute::CompletionNsec => self.completion_nsec,
            Attribute::SubmitQueues => self.submit_queues.into(),
            Attribute::PollQueues => self.poll_queues.into(),
            Attribute::HwQueueDepth => self.hw_queue_depth.into(),
            Attribute::WriteCache => self.write_cache.into(),
            Attribute::Fua => self.fua.into(),
            Attribute::Discard => self.discard.into(),
        };
        f.write_fmt(fmt!("{value}\n"))
    }

    /// Returns the hardware queues.
    pub(crate) fn queues(&self) -> QueueCounts {
        QueueCounts {
            default: self.submit_queues,
            read: 0,
            poll: self.poll_queues,
        }
    }
}

fn number(text: &BStr, min: u64, max: u64) -> Result<u64> {
    let value = u64::from_str(text).map_err(|_| EINVAL)?;
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(EINVAL)
    }
}

fn number32(text: &BStr, min: u32, max: u32) -> Result<u32> {
    // Lossless: at most `max`.
    Ok(number(text, min.into(), max.into())? as u32)
}

fn block_size(text: &BStr) -> Result<u32> {
    let value = number32(text, 512, PAGE_SIZE as u32)?;
    if value.is_power_of_two() {
        Ok(value)
    } else {
        Err(EINVAL)
    }
}

/// Parses a flag as `kstrtobool()` does: `1`, `y`, `on`, `0`, `n`, `off` and the like.
pub(super) fn boolean(text: &BStr) -> Result<bool> {
    kstrtobool_bytes(text)
}

fn irqmode(text: &BStr) -> Result<IrqMode> {
    match number(text, 0, 2)? {
        0 => Ok(IrqMode::None),
        1 => Ok(IrqMode::SoftIrq),
        _ => Ok(IrqMode::Timer),
    }
}

/// Parses a range of sectors with its sign, `+FIRST-LAST` or `-FIRST-LAST`, as null_blk takes it:
/// plus for sectors that become bad. The last one is included.
pub(super) fn sector_range(text: &BStr) -> Result<(bool, core::ops::Range<u64>)> {
    let (sign, rest) = text.split_first().ok_or(EINVAL)?;
    let bad = match sign {
        b'+' => true,
        b'-' => false,
        _ => return Err(EINVAL),
    };
    let dash = rest.iter().position(|&byte| byte == b'-').ok_or(EINVAL)?;
    let (first, last) = (&rest[..dash], &rest[dash + 1..]);
    let first = number(BStr::from_bytes(first), 0, MAX_SIZE_MIB << 11)?;
    let last = number(BStr::from_bytes(last), first, MAX_SIZE_MIB << 11)?;
    Ok((bad, first..last + 1))
}

/// Returns whether a disk can be called this: letters, digits, `-`, `_` and `.`, not too long, and
/// begun by a letter or a digit.
pub(super) fn is_disk_name(name: &[u8]) -> bool {
    // `DISK_NAME_LEN` is 32, with the NUL. The names of partitions need a few more.
    const MAX: usize = 31 - "p128".len();
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);

    name.len() <= MAX
        && name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().all(good)
}

#[kunit_tests(rnull_dio_disk_config)]
mod tests {
    use super::*;

    fn set(attribute: Attribute, text: &str) -> Result<Config> {
        let mut config = Config::default();
        config.set(attribute, BStr::from_bytes(text.as_bytes()))?;
        Ok(config)
    }

    fn shown(config: &Config, attribute: Attribute) -> Result<([u8; 32], usize)> {
        let mut buf = [0; 32];
        let mut f = kernel::str::Formatter::new(&mut buf);
        config.show(attribute, &mut f)?;
        let len = f.bytes_written();
        Ok((buf, len))
    }

    #[test]
    fn good_values_are_shown_as_set() -> Result {
        for (attribute, text) in [
            (Attribute::Size, "1"),
            (Attribute::Size, "8796093022207"),
            (Attribute::BlockSize, "512"),
            (Attribute::BlockSize, "4096"),
            (Attribute::Rotational, "1"),
            (Attribute::MemoryBacked, "1"),
            (Attribute::IrqMode, "0"),
            (Attribute::IrqMode, "1"),
            (Attribute::IrqMode, "2"),
            (Attribute::CompletionNsec, "0"),
            (Attribute::CompletionNsec, "10000000000"),
            (Attribute::SubmitQueues, "1"),
            (Attribute::PollQueues, "0"),
            (Attribute::PollQueues, "1"),
            (Attribute::HwQueueDepth, "1"),
            (Attribute::HwQueueDepth, "10240"),
            (Attribute::WriteCache, "1"),
            (Attribute::Fua, "1"),
            (Attribute::Discard, "1"),
        ] {
            let config = set(attribute, text)?;
            let (buf, len) = shown(&config, attribute)?;
            assert_eq!(&buf[..len - 1], text.as_bytes());
            assert_eq!(buf[len - 1], b'\n');
        }
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for (attribute, text) in [
            (Attribute::Size, "0"),
            (Attribute::Size, "-1"),
            (Attribute::Size, "many"),
            (Attribute::Size, ""),
            (Attribute::Size, "8796093022208"),
            (Attribute::Size, "99999999999999999999"),
            (Attribute::BlockSize, "0"),
            (Attribute::BlockSize, "256"),
            (Attribute::BlockSize, "513"),
            (Attribute::BlockSize, "8192"),
            (Attribute::BlockSize, "512 4096"),
            (Attribute::Rotational, "2"),
            (Attribute::MemoryBacked, "maybe"),
            (Attribute::IrqMode, "3"),
            (Attribute::IrqMode, "-1"),
            (Attribute::CompletionNsec, "10000000001"),
            (Attribute::SubmitQueues, "0"),
            (Attribute::SubmitQueues, "100000"),
            (Attribute::PollQueues, "100000"),
            (Attribute::HwQueueDepth, "0"),
            (Attribute::HwQueueDepth, "10241"),
            (Attribute::WriteCache, ""),
            (Attribute::Fua, "-"),
            (Attribute::Discard, "x"),
        ] {
            assert_eq!(set(attribute, text).err(), Some(EINVAL));
        }
    }

    #[test]
    fn prefixes_and_words_are_understood() -> Result {
        assert_eq!(set(Attribute::BlockSize, "0x200")?.blocksize, 512);
        assert!(set(Attribute::Discard, "on")?.discard);
        assert!(!set(Attribute::Discard, "off")?.discard);
        assert!(set(Attribute::Discard, "y")?.discard);
        Ok(())
    }

    #[test]
    fn sector_ranges() {
        for (text, expected) in [
            ("+0-0", Some((true, 0..1))),
            ("+8-15", Some((true, 8..16))),
            ("-8-15", Some((false, 8..16))),
            ("8-15", None),
            ("+8", None),
            ("+-15", None),
            ("+15-8", None),
            ("+8-", None),
            ("+8--15", None),
            ("", None),
            ("+", None),
        ] {
            let found = sector_range(BStr::from_bytes(text.as_bytes())).ok();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn disk_names() {
        for (name, good) in [
            ("nullb0", true),
            ("a", true),
            ("9-_.", true),
            ("", false),
            (".", false),
            ("..", false),
            (".hidden", false),
            ("a b", false),
            ("a/b", false),
            ("a!b", false),
            ("a%d", false),
            ("abcdefghijklmnopqrstuvwxyz0", true),
            ("abcdefghijklmnopqrstuvwxyz01", false),
        ] {
            assert_eq!(is_disk_name(name.as_bytes()), good);
        }
    }
}
