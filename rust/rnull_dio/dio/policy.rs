// SPDX-License-Identifier: GPL-2.0

//! Whose answer to "who completes a request?" is given.

use kernel::prelude::*;

use super::{
    range::Direction,
    route::Needs, //
};

/// An answer: ours, or one that Linux has given before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Policy {
    /// Ours.
    #[default]
    Auto,
    /// Up to 6.5: asynchronous writes are completed by the worker, polled ones included.
    Workqueue,
    /// The patches of 2023, in 6.6: asynchronous writes that need no I/O are completed by an issuer
    /// that defers, or by the reaper.
    Defer,
    /// Since 6.19: what needs nothing is completed inline, and all else by the worker.
    Inline,
}

impl Policy {
    /// All policies, in the order of their discriminants.
    pub(crate) const ALL: [Self; 4] = [Self::Auto, Self::Workqueue, Self::Defer, Self::Inline];

    /// What the mount option calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Workqueue => "workqueue",
            Self::Defer => "defer",
            Self::Inline => "inline",
        }
    }

    /// The policy of that name.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name().as_bytes() == name)
    }

    /// What this policy takes a request to need that by itself needs `needs`.
    pub(super) fn raise(self, direction: Direction, needs: Needs) -> Needs {
        match (self, direction) {
            (Self::Workqueue | Self::Defer, Direction::Write) => needs.max(Needs::Task),
            _ => needs,
        }
    }

    /// Does it poll for requests that need `needs`?
    pub(super) fn polls(self, needs: Needs) -> bool {
        self != Self::Inline || needs == Needs::Nothing
    }

    /// Does a page in the cache matter if it is not one of those that were written?
    pub(super) fn minds_whole_file(self) -> bool {
        matches!(self, Self::Inline)
    }
}

#[kunit_tests(rnull_dio_policy)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (index, policy) in Policy::ALL.into_iter().enumerate() {
            assert_eq!(policy as usize, index);
            assert_eq!(Policy::from_name(policy.name().as_bytes()), Some(policy));
        }
        for name in [&b""[..], b"Auto", b"auto ", b"worker"] {
            assert_eq!(Policy::from_name(name), None);
        }
    }

    #[test]
    fn history_takes_writes_for_more() {
        use Direction::*;
        use Needs::*;

        for policy in Policy::ALL {
            let raises = matches!(policy, Policy::Workqueue | Policy::Defer);
            for needs in [Nothing, Task, Io] {
                assert_eq!(policy.raise(Read, needs), needs);
                let expected = if raises && needs == Nothing {
                    Task
                } else {
                    needs
                };
                assert_eq!(policy.raise(Write, needs), expected);
            }
        }
    }
}
