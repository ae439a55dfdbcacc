// SPDX-License-Identifier: GPL-2.0

//! How many zones are open and closed, and whether more can be.

use kernel::prelude::*;

use kernel_ext::block::{
    mq::ZoneCondition,
    BlkError, //
};

/// Limits of the zones that are open, and of those that are open or closed. 0: none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    pub(super) open: u32,
    pub(super) active: u32,
}

impl Limits {
    /// Returns whether there is one.
    pub(super) fn any(self) -> bool {
        self.open > 0 || self.active > 0
    }
}

/// What has to be done before a zone changes its condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// Nothing.
    There,
    /// A zone that was opened implicitly has to be closed.
    AfterClose,
}

/// How many zones are in each of the conditions that are limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    implicitly_open: u32,
    explicitly_open: u32,
    closed: u32,
}

impl Counts {
    /// Returns whether a zone in condition `before`, which is not open, can be opened or filled.
    ///
    /// # Errors
    ///
    /// [`BlkError::ZONE_ACTIVE_RESOURCE`] and [`BlkError::ZONE_OPEN_RESOURCE`] if there is no room.
    pub(super) fn room(self, before: ZoneCondition, limits: Limits) -> Result<Room, BlkError> {
        let open = self.implicitly_open + self.explicitly_open;
        let is_new = before != ZoneCondition::Closed;
        if is_new && limits.active > 0 && open + self.closed >= limits.active {
            return Err(BlkError::ZONE_ACTIVE_RESOURCE);
        }
        if limits.open == 0 || open < limits.open {
            return Ok(Room::There);
        }
        // The zone that is closed stays active.
        if self.implicitly_open > 0 {
            Ok(Room::AfterClose)
        } else {
            Err(BlkError::ZONE_OPEN_RESOURCE)
        }
    }

    /// Counts that a zone changes its condition.
    pub(super) fn change(&mut self, before: ZoneCondition, after: ZoneCondition) {
        if let Some(count) = self.count(after) {
            *count += 1;
        }
        if let Some(count) = self.count(before) {
            *count -= 1;
        }
    }

    fn count(&mut self, condition: ZoneCondition) -> Option<&mut u32> {
        match condition {
            ZoneCondition::ImplicitlyOpen => Some(&mut self.implicitly_open),
            ZoneCondition::ExplicitlyOpen => Some(&mut self.explicitly_open),
            ZoneCondition::Closed => Some(&mut self.closed),
            _ => None,
        }
    }
}

#[kunit_tests(rnull_dio_disk_zone_counts)]
mod tests {
    use super::*;
    use ZoneCondition::*;

    fn counts(implicitly_open: u32, explicitly_open: u32, closed: u32) -> Counts {
        Counts {
            implicitly_open,
            explicitly_open,
            closed,
        }
    }

    fn limits(open: u32, active: u32) -> Limits {
        Limits { open, active }
    }

    #[test]
    fn limits_are_kept() {
        let no_open = Err(BlkError::ZONE_OPEN_RESOURCE);
        let no_active = Err(BlkError::ZONE_ACTIVE_RESOURCE);
        for (now, before, limits, expected) in [
            (counts(9, 9, 9), Empty, limits(0, 0), Ok(Room::There)),
            (counts(1, 0, 9), Empty, limits(2, 0), Ok(Room::There)),
            (counts(1, 1, 0), Empty, limits(2, 0), Ok(Room::AfterClose)),
            (counts(0, 2, 0), Empty, limits(2, 0), no_open),
            (counts(0, 2, 1), Closed, limits(2, 0), no_open),
            (counts(1, 1, 0), Empty, limits(0, 3), Ok(Room::There)),
            (counts(1, 1, 1), Empty, limits(0, 3), no_active),
            (counts(1, 0, 2), Closed, limits(0, 3), Ok(Room::There)),
            (counts(1, 0, 1), Empty, limits(1, 2), no_active),
            (counts(1, 0, 1), Closed, limits(1, 2), Ok(Room::AfterClose)),
            (counts(0, 1, 1), Closed, limits(1, 2), no_open),
        ] {
            assert_eq!(now.room(before, limits), expected);
        }
    }

    #[test]
    fn changes_are_counted() {
        let mut now = counts(1, 1, 1);
        for (before, after, expected) in [
            (Empty, ImplicitlyOpen, counts(2, 1, 1)),
            (ImplicitlyOpen, ExplicitlyOpen, counts(1, 2, 1)),
            (ExplicitlyOpen, Closed, counts(1, 1, 2)),
            (Closed, Closed, counts(1, 1, 2)),
            (Closed, Full, counts(1, 1, 1)),
            (Full, Empty, counts(1, 1, 1)),
            (ImplicitlyOpen, Offline, counts(0, 1, 1)),
        ] {
            now.change(before, after);
            assert_eq!(now, expected);
        }
    }
}
