// SPDX-License-Identifier: GPL-2.0

//! The state of a zone, and how operations change it, as ZBC and NVMe ZNS have it.

use kernel::prelude::*;

use kernel_ext::block::{
    mq::ZoneCondition,
    BlkError, //
};

/// What is done with a zone that is not conventional.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// A write begins, which moves the write pointer from the first to the second, and opens the zone.
    Write(u32, u32),
    /// A write has ended that may have reached the capacity, which is this.
    EndWrite(u32),
    /// A write has failed: the write pointer goes back from the first to the second, unless it has been
    /// moved since.
    Undo(u32, u32),
    /// To open, by request.
    Open,
    /// To close, by request or to make room for another zone.
    Close,
    /// To fill, by request. This is the capacity.
    Finish(u32),
    /// To empty, by request.
    Reset,
    /// To become read-only or offline, or empty again if it is that.
    Fail(ZoneCondition),
}

/// The state of a zone, which fits into a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) condition: ZoneCondition,
    /// How many sectors of 512 bytes lie before the write pointer.
    pub(super) written: u32,
}

/// The conditions by their numbers. No zone has one that no condition has.
const CONDITIONS: [ZoneCondition; 16] = {
    use ZoneCondition::*;
    let mut conditions = [Offline; 16];
    let known = [
        Empty,
        ImplicitlyOpen,
        ExplicitlyOpen,
        Closed,
        ReadOnly,
        Full,
        Offline,
    ];
    let mut index = 0;
    while index < known.len() {
        // CAST: The representation of the condition, which is less than 16.
        conditions[known[index] as usize] = known[index];
        index += 1;
    }
    conditions
};

impl State {
    pub(super) const EMPTY: Self = Self {
        condition: ZoneCondition::Empty,
        written: 0,
    };

    /// Returns the state as a word.
    #[inline]
    pub(super) fn to_word(self) -> u64 {
        // CAST: The representation of the condition.
        u64::from(self.condition as u8) << 32 | u64::from(self.written)
    }

    /// Returns the state of a word that came from [`Self::to_word`].
    #[inline]
    pub(super) fn from_word(word: u64) -> Self {
        // CAST: Four bits.
        let condition = CONDITIONS[(word >> 32) as usize & 0xf];
        Self {
            condition,
            // CAST: The lower half.
            written: word as u32,
        }
    }

    /// Returns whether the zone can be written to without being opened before.
    #[inline]
    pub(super) fn is_open(self) -> bool {
        use ZoneCondition::*;
        matches!(self.condition, ImplicitlyOpen | ExplicitlyOpen)
    }

    /// Returns whether the limits of open and closed zones must leave room for an operation: to open the
    /// zone, and also to fill it, as if it was opened for that.
    pub(super) fn needs_room(self, operation: Operation) -> bool {
        use Operation::*;
        matches!(self.condition, ZoneCondition::Empty | ZoneCondition::Closed)
            && matches!(operation, Write(..) | Open | Finish(_))
    }

    /// Returns the state after an operation.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if a zone in this state does not take it.
    pub(super) fn after(self, operation: Operation) -> Result<Self, BlkError> {
        use ZoneCondition::*;
        let (condition, written) = match (operation, self.condition) {
            (Operation::EndWrite(capacity), _) => return Ok(self.filled(capacity)),
            (Operation::Undo(from, to), _) => return Ok(self.undone(from, to)),
            (Operation::Fail(failed), now) if failed == now => (Empty, 0),
            (Operation::Fail(failed), _) => (failed, self.written),
            (_, Conventional | ReadOnly | Offline) => return Err(BlkError::IOERR),
            (Operation::Reset, _) => (Empty, 0),
            (Operation::Finish(capacity), _) => (Full, capacity),
            (Operation::Close, ImplicitlyOpen | ExplicitlyOpen) if self.written == 0 => (Empty, 0),
            (Operation::Close, ImplicitlyOpen | ExplicitlyOpen | Closed) => (Closed, self.written),
            (Operation::Open, Empty | ImplicitlyOpen | ExplicitlyOpen | Closed) => {
                (ExplicitlyOpen, self.written)
            }
            (Operation::Write(from, _), _) if from != self.written => return Err(BlkError::IOERR),
            (Operation::Write(_, to), Empty | Closed) => (ImplicitlyOpen, to),
            (Operation::Write(_, to), ImplicitlyOpen | ExplicitlyOpen) => (self.condition, to),
            (Operation::Write(..) | Operation::Open | Operation::Close, _) => {
                return Err(BlkError::IOERR);
            }
        };
        Ok(Self { condition, written })
    }

    /// Returns the state after a write, which may have filled the zone.
    fn filled(self, capacity: u32) -> Self {
        let is_active = self.is_open() || self.condition == ZoneCondition::Closed;
        if is_active && self.written == capacity {
            Self {
                condition: ZoneCondition::Full,
                ..self
            }
        } else {
            self
        }
    }

    /// Returns the state after a write that has failed.
    fn undone(self, from: u32, to: u32) -> Self {
        let is_closed = self.condition == ZoneCondition::Closed;
        if self.written != from || !(self.is_open() || is_closed) {
            self
        } else if is_closed && to == 0 {
            Self::EMPTY
        } else {
            Self {
                written: to,
                ..self
            }
        }
    }
}

#[kunit_tests(rnull_dio_disk_zone_state)]
mod tests {
    use super::*;
    use ZoneCondition::*;

    const CAPACITY: u32 = 100;

    fn state(condition: ZoneCondition, written: u32) -> State {
        State { condition, written }
    }

    /// All conditions of zones with a write pointer, with data where they can have any.
    const STATES: [(ZoneCondition, u32); 7] = [
        (Empty, 0),
        (ImplicitlyOpen, 8),
        (ExplicitlyOpen, 8),
        (Closed, 8),
        (Full, CAPACITY),
        (ReadOnly, 8),
        (Offline, 8),
    ];

    /// Checks what an operation makes of the zones in [`STATES`].
    fn check(operation: Operation, expected: [Option<(ZoneCondition, u32)>; 7]) {
        for ((condition, written), expected) in STATES.into_iter().zip(expected) {
            let after = state(condition, written).after(operation).ok();
            assert_eq!(
                after,
                expected.map(|(condition, written)| state(condition, written))
            );
        }
    }

    #[test]
    fn states_are_kept_in_words() {
        for (condition, written) in STATES {
            for written in [0, written, u32::MAX] {
                let state = state(condition, written);
                assert_eq!(State::from_word(state.to_word()), state);
            }
        }
    }

    #[test]
    fn a_write_opens_implicitly() {
        for (condition, written) in STATES {
            let before = state(condition, written);
            let after = match condition {
                Empty | ImplicitlyOpen | Closed => Ok(state(ImplicitlyOpen, written + 16)),
                ExplicitlyOpen => Ok(state(ExplicitlyOpen, written + 16)),
                _ => Err(BlkError::IOERR),
            };
            assert_eq!(before.after(Operation::Write(written, written + 16)), after);
            // Another write has moved the write pointer.
            let moved = before.after(Operation::Write(written + 8, written + 16));
            assert_eq!(moved, Err(BlkError::IOERR));
        }
    }

    #[test]
    fn open_opens_explicitly() {
        let open = |written| Some((ExplicitlyOpen, written));
        check(
            Operation::Open,
            [open(0), open(8), open(8), open(8), None, None, None],
        );
    }

    #[test]
    fn close_closes_what_has_data() {
        let closed = Some((Closed, 8));
        check(
            Operation::Close,
            [None, closed, closed, closed, None, None, None],
        );
        for condition in [ImplicitlyOpen, ExplicitlyOpen] {
            assert_eq!(
                state(condition, 0).after(Operation::Close),
                Ok(State::EMPTY)
            );
        }
    }

    #[test]
    fn finish_fills() {
        let full = Some((Full, CAPACITY));
        check(
            Operation::Finish(CAPACITY),
            [full, full, full, full, full, None, None],
        );
    }

    #[test]
    fn reset_empties() {
        let empty = Some((Empty, 0));
        check(
            Operation::Reset,
            [empty, empty, empty, empty, empty, None, None],
        );
    }

    #[test]
    fn zones_fail_and_come_back_empty() {
        for failed in [ReadOnly, Offline] {
            for (condition, written) in STATES {
                let after = state(condition, written).after(Operation::Fail(failed));
                let expected = if condition == failed {
                    State::EMPTY
                } else {
                    state(failed, written)
                };
                assert_eq!(after, Ok(expected));
            }
        }
    }

    #[test]
    fn room_is_needed_to_open_and_to_fill() {
        for (condition, written) in STATES {
            let state = state(condition, written);
            let is_idle = matches!(condition, Empty | Closed);
            for operation in [
                Operation::Write(written, written + 8),
                Operation::Open,
                Operation::Finish(CAPACITY),
            ] {
                assert_eq!(state.needs_room(operation), is_idle);
            }
            for operation in [Operation::Close, Operation::Reset, Operation::EndWrite(8)] {
                assert!(!state.needs_room(operation));
            }
        }
    }

    #[test]
    fn the_last_write_fills() {
        for condition in [ImplicitlyOpen, ExplicitlyOpen, Closed] {
            let at_end = state(condition, CAPACITY);
            let before_end = state(condition, CAPACITY - 8);
            let operation = Operation::EndWrite(CAPACITY);
            assert_eq!(at_end.after(operation), Ok(state(Full, CAPACITY)));
            assert_eq!(before_end.after(operation), Ok(before_end));
        }
        // It was reset, or has failed, meanwhile.
        for (condition, written) in [(Empty, 0), (ReadOnly, CAPACITY), (Offline, CAPACITY)] {
            let other = state(condition, written);
            assert_eq!(other.after(Operation::EndWrite(CAPACITY)), Ok(other));
        }
    }

    #[test]
    fn failed_writes_are_undone() {
        for condition in [ImplicitlyOpen, ExplicitlyOpen, Closed] {
            let undone = state(condition, 16).after(Operation::Undo(16, 8));
            assert_eq!(undone, Ok(state(condition, 8)));
            // Another write has followed.
            let moved = state(condition, 24);
            assert_eq!(moved.after(Operation::Undo(16, 8)), Ok(moved));
        }
        assert_eq!(
            state(Closed, 16).after(Operation::Undo(16, 0)),
            Ok(State::EMPTY)
        );
        let open = state(ImplicitlyOpen, 16).after(Operation::Undo(16, 0));
        assert_eq!(open, Ok(state(ImplicitlyOpen, 0)));
        for (condition, written) in [(Empty, 0), (Full, 16), (ReadOnly, 16), (Offline, 16)] {
            let other = state(condition, written);
            assert_eq!(other.after(Operation::Undo(16, 8)), Ok(other));
        }
    }
}
