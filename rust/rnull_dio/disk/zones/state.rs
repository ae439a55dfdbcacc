// SPDX-License-Identifier: GPL-2.0

//! The state of a zone, and how operations change it, as ZBC and NVMe ZNS have it.

#[cfg(CONFIG_KUNIT = "y")]
mod tests;

use kernel_ext::block::{
    mq::ZoneCondition,
    BlkError, //
};

/// What is done with a zone that is not conventional.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    /// To write without data, which is over when the write pointer has moved to the first. That opens the
    /// zone, or fills it if this is the capacity, which is the second.
    Write(u32, u32),
    /// A write of data begins, which moves the write pointer to this, and opens the zone.
    BeginWrite(u32),
    /// A write of data has ended that may have reached the capacity, which is this.
    EndWrite(u32),
    /// A write of data has failed: the write pointer goes back from the first to the second, unless it has
    /// been moved since.
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
///
/// # Invariants
///
/// All data that writes in flight copy lie before the write pointer. It only goes back by
/// [`Operation::Undo`], behind what the other writes have, or when there are no writes in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) condition: ZoneCondition,
    /// How many sectors of 512 bytes lie before the write pointer.
    pub(super) written: u32,
    /// Whether a task keeps writes of data from beginning.
    pub(super) is_held: bool,
    /// How many writes of data are in flight. Each is a task in `queue_rq`, so that 27 bits are enough.
    pub(super) writers: u32,
}

/// The bit of the word that says whether the zone is held.
const HELD: u32 = 36;
/// The lowest bit of the word that is of the number of writes in flight, up to the highest.
const WRITERS: u32 = 37;

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
        is_held: false,
        writers: 0,
    };

    /// A write in flight as a part of a word, to be subtracted from it.
    pub(super) const WRITER: u64 = 1 << WRITERS;

    /// That the zone is held as a part of a word, to be subtracted from it.
    pub(super) const HOLD: u64 = 1 << HELD;

    /// Returns the state as a word.
    #[inline]
    pub(super) fn to_word(self) -> u64 {
        // CAST: The representation of the condition.
        u64::from(self.writers) << WRITERS
            | u64::from(self.is_held) << HELD
            | u64::from(self.condition as u8) << 32
            | u64::from(self.written)
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
            is_held: word >> HELD & 1 != 0,
            // CAST: 27 bits.
            writers: (word >> WRITERS) as u32,
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
            && matches!(operation, Write(..) | BeginWrite(_) | Open | Finish(_))
    }

    /// Returns the state of an open zone after a write of data has begun that moves the write pointer to
    /// this.
    #[inline]
    pub(super) fn begun(self, to: u32) -> Self {
        Self {
            written: to,
            writers: self.writers + 1,
            ..self
        }
    }

    /// Returns the state of an open zone after a write without data that moves the write pointer to this.
    #[inline]
    pub(super) fn moved(self, to: u32) -> Self {
        Self {
            written: to,
            ..self
        }
    }

    /// Returns whether no write of data is in flight.
    #[inline]
    pub(super) fn is_idle(self) -> bool {
        self.writers == 0
    }

    /// Returns the state after an operation.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if a zone in this state does not take it.
    pub(super) fn after(self, operation: Operation) -> Result<Self, BlkError> {
        use ZoneCondition::*;
        let (condition, written) = match (operation, self.condition) {
            (Operation::EndWrite(capacity), _) => return Ok(self.ended().filled(capacity)),
            (Operation::Undo(from, to), _) => return Ok(self.ended().undone(from, to)),
            // What is written then could be in place of what is written later.
            (Operation::Fail(_) | Operation::Reset, _) if !self.is_idle() => {
                return Err(BlkError::IOERR);
            }
            (Operation::Fail(failed), now) if failed == now => (Empty, 0),
            (Operation::Fail(failed), _) => (failed, self.written),
            (_, Conventional | ReadOnly | Offline) => return Err(BlkError::IOERR),
            (Operation::Reset, _) => (Empty, 0),
            // Nothing is written later, until a reset.
            (Operation::Finish(capacity), _) => (Full, capacity),
            (Operation::Close, ImplicitlyOpen | ExplicitlyOpen) if self.written == 0 => (Empty, 0),
            (Operation::Close, ImplicitlyOpen | ExplicitlyOpen | Closed) => (Closed, self.written),
            (Operation::Open, Empty | ImplicitlyOpen | ExplicitlyOpen | Closed) => {
                (ExplicitlyOpen, self.written)
            }
            (Operation::Write(..) | Operation::BeginWrite(_), Full) => return Err(BlkError::IOERR),
            (Operation::Write(to, capacity), _) if to == capacity => (Full, to),
            (Operation::Write(to, _), ExplicitlyOpen) => (ExplicitlyOpen, to),
            (Operation::Write(to, _), _) => (ImplicitlyOpen, to),
            (Operation::BeginWrite(_), _) if self.is_held => return Err(BlkError::IOERR),
            (Operation::BeginWrite(to), ExplicitlyOpen) => return Ok(self.begun(to)),
            (Operation::BeginWrite(to), _) => {
                let condition = ImplicitlyOpen;
                return Ok(Self { condition, ..self }.begun(to));
            }
            (Operation::Open | Operation::Close, _) => return Err(BlkError::IOERR),
        };
        Ok(Self {
            condition,
            written,
            ..self
        })
    }

    /// Returns the state with one write in flight less.
    fn ended(self) -> Self {
        Self {
            writers: self.writers - 1,
            ..self
        }
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
            Self {
                condition: ZoneCondition::Empty,
                written: 0,
                ..self
            }
        } else {
            self.moved(to)
        }
    }
}
