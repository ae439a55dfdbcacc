// SPDX-License-Identifier: GPL-2.0

//! Values of attributes: how they are parsed, shown and limited.

use kernel::{
    cpu::nr_cpu_ids,
    fmt,
    prelude::*,
    str::{
        kstrtobool_bytes,
        parse_int::ParseInt,
        BStr,
        CString, //
    },
    sync::Arc, //
};

use kernel_ext::numa::Node;

use crate::{
    named::{
        named_enum,
        Named, //
    },
    path, //
};

/// Which values an attribute can have, shown as its documentation has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Limits {
    /// A flag.
    Flag,
    /// One number.
    Only(u64),
    /// From one number to another.
    Range(u64, u64),
    /// 0, or from one number to another.
    ZeroOr(u64, u64),
    /// A power of two from one number to another.
    PowerOfTwo(u64, u64),
    /// From a number to the number of CPUs.
    UpToCpus(u64),
    /// The number of a NUMA node.
    Node,
    /// No number, but this.
    Text(&'static str),
}

impl Limits {
    /// Returns whether `value` is within the limits.
    pub(super) fn allow(self, value: u64) -> bool {
        match self {
            Self::Flag => value <= 1,
            Self::Only(only) => value == only,
            Self::Range(min, max) => (min..=max).contains(&value),
            Self::ZeroOr(min, max) => value == 0 || (min..=max).contains(&value),
            Self::PowerOfTwo(min, max) => value.is_power_of_two() && (min..=max).contains(&value),
            Self::UpToCpus(min) => (min..=u64::from(nr_cpu_ids())).contains(&value),
            Self::Node => u32::try_from(value).is_ok_and(|it| Node::online(it).is_some()),
            Self::Text(_) => false,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("0 or 1"),
            Self::Only(only) => write!(f, "{only}"),
            Self::Range(min, max) => write!(f, "{min} to {max}"),
            Self::ZeroOr(min, max) => write!(f, "0, or {min} to {max}"),
            Self::PowerOfTwo(min, max) => write!(f, "a power of two from {min} to {max}"),
            Self::UpToCpus(min) => write!(f, "{min} to the number of CPUs"),
            Self::Node => f.write_str("-1, or the number of a NUMA node that is online"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A type of attributes.
pub(super) trait Value: Sized {
    /// Parses the text of a user, which has no white space around it.
    ///
    /// # Errors
    ///
    /// [`EINVAL`] if that is no such value, or beyond `limits`.
    fn parse(text: &BStr, limits: Limits) -> Result<Self>;

    /// Writes the value as a user would.
    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result;

    /// Returns whether the value is within `limits`.
    fn is_within(&self, limits: Limits) -> bool;
}

impl Value for u64 {
    fn parse(text: &BStr, limits: Limits) -> Result<Self> {
        let value = Self::from_str(text).map_err(|_| EINVAL)?;
        value.is_within(limits).then_some(value).ok_or(EINVAL)
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_fmt(fmt!("{self}"))
    }

    fn is_within(&self, limits: Limits) -> bool {
        limits.allow(*self)
    }
}

impl Value for u32 {
    fn parse(text: &BStr, limits: Limits) -> Result<Self> {
        u64::parse(text, limits)?.try_into().map_err(|_| EINVAL)
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        u64::from(*self).show(f)
    }

    fn is_within(&self, limits: Limits) -> bool {
        limits.allow((*self).into())
    }
}

/// The number of a NUMA node, -1 if there is none.
impl Value for Option<u32> {
    fn parse(text: &BStr, limits: Limits) -> Result<Self> {
        if &**text == b"-1" {
            Ok(None)
        } else {
            u32::parse(text, limits).map(Some)
        }
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Some(number) => number.show(f),
            None => f.write_str("-1"),
        }
    }

    fn is_within(&self, limits: Limits) -> bool {
        self.as_ref().is_none_or(|number| number.is_within(limits))
    }
}

impl Value for bool {
    /// Parses a flag as `kstrtobool()` does: `1`, `y`, `on`, `0`, `n`, `off` and the like.
    fn parse(text: &BStr, _limits: Limits) -> Result<Self> {
        kstrtobool_bytes(text)
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        u64::from(*self).show(f)
    }

    fn is_within(&self, _limits: Limits) -> bool {
        true
    }
}

/// The path of a file, or nothing. It is absolute: a relative one would depend on the task that powers
/// the disk on.
#[derive(Clone, Default)]
pub(crate) struct Path(Option<Arc<CString>>);

impl Path {
    /// Returns the path, if there is one.
    pub(crate) fn get(&self) -> Option<&CStr> {
        self.0.as_ref().map(|path| &***path)
    }
}

#[cfg(CONFIG_KUNIT = "y")]
impl TryFrom<&CStr> for Path {
    type Error = Error;

    fn try_from(path: &CStr) -> Result<Self> {
        Ok(Self(Some(Arc::new(path.try_into()?, GFP_KERNEL)?)))
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Path {}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Value for Path {
    fn parse(text: &BStr, _limits: Limits) -> Result<Self> {
        match text.first() {
            None => Ok(Self(None)),
            Some(b'/') => {
                let path = Arc::new(path::from_bytes(text)?, GFP_KERNEL)?;
                Ok(Self(Some(path)))
            }
            Some(_) => Err(EINVAL),
        }
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        match self.get() {
            Some(path) => path::show(path, f),
            None => Ok(()),
        }
    }

    fn is_within(&self, _limits: Limits) -> bool {
        true
    }
}

named_enum! {
    /// Where and when a request ends that is not polled.
    pub(crate) enum IrqMode {
        /// At once, in the context of the submitter.
        None = "none",
        /// In a soft interrupt, or wherever the block layer completes requests.
        SoftIrq = "softirq",
        /// In a hard interrupt, when a timer fires.
        Timer = "timer",
    }
}

/// A mode is shown as its number.
impl Value for IrqMode {
    fn parse(text: &BStr, limits: Limits) -> Result<Self> {
        // CAST: From 32 bits to at least as many.
        let index = u32::parse(text, limits)? as usize;
        Self::ALL.get(index).copied().ok_or(EINVAL)
    }

    fn show(&self, f: &mut dyn fmt::Write) -> fmt::Result {
        f.write_fmt(fmt!("{}", self.index()))
    }

    fn is_within(&self, _limits: Limits) -> bool {
        true
    }
}

/// Parses a range of sectors with its sign, `+FIRST-LAST` or `-FIRST-LAST`, as null_blk takes it:
/// plus for sectors that become bad. `limits` are those of a sector. The last one is included.
pub(super) fn sector_range(text: &BStr, limits: Limits) -> Result<(bool, core::ops::Range<u64>)> {
    let (sign, rest) = text.split_first().ok_or(EINVAL)?;
    let bad = match sign {
        b'+' => true,
        b'-' => false,
        _ => return Err(EINVAL),
    };
    let dash = rest.iter().position(|&byte| byte == b'-').ok_or(EINVAL)?;
    let (first, last) = (&rest[..dash], &rest[dash + 1..]);
    let first = u64::parse(BStr::from_bytes(first), limits)?;
    let last = u64::parse(BStr::from_bytes(last), limits)?;
    if first > last {
        return Err(EINVAL);
    }
    Ok((bad, first..last + 1))
}

#[kunit_tests(rnull_dio_disk_value)]
mod tests {
    use super::*;

    #[test]
    fn limits_allow_what_is_within() {
        let cpus = u64::from(nr_cpu_ids());
        for (limits, allowed, refused) in [
            (Limits::Flag, [0, 1], [2, u64::MAX]),
            (Limits::Only(2), [2, 2], [1, 3]),
            (Limits::Range(3, 9), [3, 9], [2, 10]),
            (Limits::ZeroOr(3, 9), [0, 3], [2, 10]),
            (Limits::PowerOfTwo(2, 8), [2, 8], [6, 16]),
            (Limits::UpToCpus(1), [1, cpus], [0, cpus + 1]),
            (Limits::PowerOfTwo(512, 65536), [512, 65536], [256, 131072]),
            (Limits::PowerOfTwo(512, 65536), [4096, 8192], [0, 513]),
        ] {
            assert!(allowed.into_iter().all(|value| limits.allow(value)));
            assert!(!refused.into_iter().any(|value| limits.allow(value)));
        }
    }

    #[test]
    fn sector_ranges() {
        for (text, expected) in [
            ("+0-0", Some((true, 0..1))),
            ("+8-15", Some((true, 8..16))),
            ("-8-15", Some((false, 8..16))),
            ("+8-100", Some((true, 8..101))),
            ("+8-101", None),
            ("8-15", None),
            ("+8", None),
            ("+-15", None),
            ("+15-8", None),
            ("+8-", None),
            ("+8--15", None),
            ("", None),
            ("+", None),
        ] {
            let text = BStr::from_bytes(text.as_bytes());
            assert_eq!(sector_range(text, Limits::Range(0, 100)).ok(), expected);
        }
    }
}
