// SPDX-License-Identifier: GPL-2.0

//! Completion policies: the default, and those of earlier kernels.

use kernel::prelude::*;

use crate::named::{
    named_enum,
    Named, //
};

use super::{
    direction::Direction,
    needs::Needs, //
};

named_enum! {
    /// The rules that choose the context which completes a request.
    #[derive(Default)]
    pub(crate) enum Policy {
        /// The policy of this module.
        #[default]
        Auto = "auto",
        /// Linux up to 6.5: the worker completes asynchronous writes, polled ones included.
        Workqueue = "workqueue",
        /// Linux 6.6: an issuer that defers, or the reaper, completes asynchronous writes that need
        /// no I/O.
        Defer = "defer",
        /// Linux since 6.19: what needs nothing is completed inline, and the worker completes the
        /// rest.
        Inline = "inline",
    }
}

impl Policy {
    /// Returns the policy of that name.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|policy| policy.name().as_bytes() == name)
    }

    /// Returns the needs that this policy assumes for a request that by itself has `needs`.
    pub(crate) fn raise(self, direction: Direction, needs: Needs) -> Needs {
        match (self, direction) {
            (Self::Workqueue | Self::Defer, Direction::Write) => needs.max(Needs::Task),
            _ => needs,
        }
    }

    /// Returns whether requests with these needs are polled for.
    pub(crate) fn polls(self, needs: Needs) -> bool {
        self != Self::Inline || needs == Needs::Nothing
    }

    /// Returns whether a write needs a task if the page cache has any page of the file, rather than
    /// one of the range that was written.
    pub(crate) fn needs_task_for_any_cached_page(self) -> bool {
        matches!(self, Self::Inline)
    }
}

#[kunit_tests(rnull_dio_policy)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for &policy in Policy::ALL {
            assert_eq!(Policy::from_name(policy.name().as_bytes()), Some(policy));
        }
        for name in [&b""[..], b"Auto", b"auto ", b"worker"] {
            assert_eq!(Policy::from_name(name), None);
        }
    }

    #[test]
    fn earlier_policies_raise_the_needs_of_writes() {
        use Direction::*;
        use Needs::*;

        for &policy in Policy::ALL {
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
