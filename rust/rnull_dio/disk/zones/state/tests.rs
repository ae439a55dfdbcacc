// SPDX-License-Identifier: GPL-2.0

//! Tests of what operations make of zones, without and with writes in flight.

use kernel::prelude::*;

use super::*;

#[kunit_tests(rnull_dio_disk_zone_state)]
mod state {
    use super::*;
    use ZoneCondition::*;

    const CAPACITY: u32 = 100;

    fn state(condition: ZoneCondition, written: u32) -> State {
        State {
            condition,
            written,
            ..State::EMPTY
        }
    }

    /// Returns a state with writes of data in flight.
    fn busy(condition: ZoneCondition, written: u32, writers: u32) -> State {
        State {
            writers,
            ..state(condition, written)
        }
    }

    fn held(state: State) -> State {
        State {
            is_held: true,
            ..state
        }
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

    /// Checks what an operation makes of the zones in [`STATES`] while `writers` are in flight, and that it
    /// leaves these and the bit of held zones alone.
    fn check_with(writers: u32, operation: Operation, expected: [Option<(ZoneCondition, u32)>; 7]) {
        for ((condition, written), expected) in STATES.into_iter().zip(expected) {
            let before = busy(condition, written, writers);
            let expected = expected.map(|(condition, written)| busy(condition, written, writers));
            assert_eq!(before.after(operation).ok(), expected);
            assert_eq!(held(before).after(operation).ok(), expected.map(held));
        }
    }

    /// Checks what an operation makes of zones, with and without writes in flight.
    fn check(operation: Operation, expected: [Option<(ZoneCondition, u32)>; 7]) {
        check_with(0, operation, expected);
        check_with(2, operation, expected);
    }

    #[test]
    fn states_are_kept_in_words() {
        for (condition, written) in STATES {
            for written in [0, written, u32::MAX] {
                for writers in [0, 1, (1 << 27) - 1] {
                    let state = busy(condition, written, writers);
                    assert_eq!(State::from_word(state.to_word()), state);
                    let held = held(state);
                    assert_eq!(State::from_word(held.to_word()), held);
                    assert_eq!(State::from_word(held.to_word() - State::HOLD), state);
                }
                let word = busy(condition, written, 2).to_word() - State::WRITER;
                assert_eq!(State::from_word(word), busy(condition, written, 1));
            }
        }
    }

    #[test]
    fn a_write_opens_implicitly_and_is_in_flight() {
        for writers in [0, 2] {
            for (condition, written) in STATES {
                let before = busy(condition, written, writers);
                let after = match condition {
                    Empty | ImplicitlyOpen | Closed => Ok(ImplicitlyOpen),
                    ExplicitlyOpen => Ok(ExplicitlyOpen),
                    _ => Err(BlkError::IOERR),
                };
                let after = after.map(|now| busy(now, written + 16, writers + 1));
                let operation = Operation::BeginWrite(written + 16);
                assert_eq!(before.after(operation), after);
                assert!(held(before).after(operation).is_err());
                if before.is_open() {
                    assert_eq!(Ok(before.begun(written + 16)), after);
                }
            }
        }
    }

    #[test]
    fn a_write_without_data_is_never_in_flight() {
        let open = |written| Some((ImplicitlyOpen, written));
        let explicit = Some((ExplicitlyOpen, 16));
        check(
            Operation::Write(16, CAPACITY),
            [open(16), open(16), explicit, open(16), None, None, None],
        );
        let full = Some((Full, CAPACITY));
        check(
            Operation::Write(CAPACITY, CAPACITY),
            [full, full, full, full, None, None, None],
        );
        let moved = state(ExplicitlyOpen, 8).moved(16);
        assert_eq!(moved, state(ExplicitlyOpen, 16));
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
    fn reset_empties_without_writes_in_flight() {
        let empty = Some((Empty, 0));
        check_with(
            0,
            Operation::Reset,
            [empty, empty, empty, empty, empty, None, None],
        );
        check_with(1, Operation::Reset, [None; 7]);
    }

    #[test]
    fn zones_fail_and_come_back_empty() {
        for failed in [ReadOnly, Offline] {
            let expected = STATES.map(|(condition, written)| {
                Some(if condition == failed {
                    (Empty, 0)
                } else {
                    (failed, written)
                })
            });
            check_with(0, Operation::Fail(failed), expected);
            check_with(1, Operation::Fail(failed), [None; 7]);
        }
    }

    #[test]
    fn room_is_needed_to_open_and_to_fill() {
        for (condition, written) in STATES {
            let state = state(condition, written);
            let is_idle = matches!(condition, Empty | Closed);
            for operation in [
                Operation::Write(written + 8, CAPACITY),
                Operation::BeginWrite(written + 8),
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
        let operation = Operation::EndWrite(CAPACITY);
        for condition in [ImplicitlyOpen, ExplicitlyOpen, Closed] {
            let at_end = busy(condition, CAPACITY, 2);
            assert_eq!(at_end.after(operation), Ok(busy(Full, CAPACITY, 1)));
            assert_eq!(
                held(at_end).after(operation),
                Ok(held(busy(Full, CAPACITY, 1)))
            );
            let before_end = busy(condition, CAPACITY - 8, 1);
            assert_eq!(
                before_end.after(operation),
                Ok(state(condition, CAPACITY - 8))
            );
        }
        // It was finished meanwhile.
        let full = busy(Full, CAPACITY, 1).after(operation);
        assert_eq!(full, Ok(state(Full, CAPACITY)));
    }

    #[test]
    fn failed_writes_are_undone() {
        for condition in [ImplicitlyOpen, ExplicitlyOpen, Closed] {
            let undone = busy(condition, 16, 2).after(Operation::Undo(16, 8));
            assert_eq!(undone, Ok(busy(condition, 8, 1)));
            let undone = held(busy(condition, 16, 1)).after(Operation::Undo(16, 8));
            assert_eq!(undone, Ok(held(state(condition, 8))));
            // Another write has followed.
            let moved = busy(condition, 24, 1).after(Operation::Undo(16, 8));
            assert_eq!(moved, Ok(state(condition, 24)));
        }
        let closed = held(busy(Closed, 16, 1)).after(Operation::Undo(16, 0));
        assert_eq!(closed, Ok(held(State::EMPTY)));
        let open = busy(ImplicitlyOpen, 16, 1).after(Operation::Undo(16, 0));
        assert_eq!(open, Ok(state(ImplicitlyOpen, 0)));
        let full = busy(Full, 16, 1).after(Operation::Undo(16, 8));
        assert_eq!(full, Ok(state(Full, 16)));
    }

    /// The most writes in flight that are tried.
    const WRITERS: usize = 3;

    /// Where the writes in flight began.
    type InFlight = [Option<u32>; WRITERS];

    /// Returns whether all writes in flight are counted, lie before the write pointer, and have places of
    /// their own.
    fn is_sound(state: State, in_flight: InFlight) -> bool {
        let mut number = 0;
        in_flight.iter().enumerate().all(|(index, start)| {
            start.is_none_or(|start| {
                number += 1;
                start + 8 <= state.written && !in_flight[..index].contains(&Some(start))
            })
        }) && state.writers == number
    }

    /// Returns whether that is so after up to `depth` operations in any order.
    fn stays_sound(before: State, in_flight: InFlight, depth: u32) -> bool {
        if depth == 0 || !is_sound(before, in_flight) {
            return is_sound(before, in_flight);
        }
        let goes_on = |operation, in_flight| match before.after(operation) {
            Ok(after) => stays_sound(after, in_flight, depth - 1),
            Err(_) => true,
        };
        let writes_are_sound = (0..WRITERS).all(|index| {
            let mut changed = in_flight;
            if let Some(start) = changed[index].take() {
                return goes_on(Operation::EndWrite(32), changed)
                    && goes_on(Operation::Undo(start + 8, start), changed);
            }
            changed[index] = Some(before.written);
            before.written == 32 || goes_on(Operation::BeginWrite(before.written + 8), changed)
        });
        writes_are_sound
            && [
                Operation::Open,
                Operation::Close,
                Operation::Finish(32),
                Operation::Reset,
                Operation::Fail(Offline),
            ]
            .into_iter()
            .all(|operation| goes_on(operation, in_flight))
    }

    #[test]
    fn writes_in_flight_are_never_in_the_same_place() {
        assert!(stays_sound(State::EMPTY, [None; WRITERS], 4));
    }
}
