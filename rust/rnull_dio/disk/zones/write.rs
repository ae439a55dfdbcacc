// SPDX-License-Identifier: GPL-2.0

//! Writes to zones: how they get their places, and how they end.

use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    }, //
};

use kernel_ext::block::BlkError;

use super::{
    state::{
        Operation,
        State, //
    },
    Zones, //
};

impl Zones {
    /// Returns the sector where a write of `sectors` of data goes, and moves the write pointer behind it. An
    /// append goes to the write pointer, any other write must begin there. It opens the zone. Ends with
    /// [`Self::end_write`], until when the write is in flight.
    ///
    /// May sleep: waits while the zone is held.
    ///
    /// # Errors
    ///
    /// - [`BlkError::IOERR`] if the zone cannot take it.
    /// - [`BlkError::ZONE_OPEN_RESOURCE`] or [`BlkError::ZONE_ACTIVE_RESOURCE`] if too many zones would be
    ///   open.
    #[inline]
    pub(in super::super) fn begin_write(
        &self,
        sector: u64,
        sectors: u32,
        append: bool,
    ) -> Result<u64, BlkError> {
        self.place(sector, sectors, append, true, |_| sectors)
    }

    /// Carries out a write of `sectors` without data: finds its sector, as [`Self::begin_write`] does, and
    /// moves the write pointer behind the first sectors, as many as `done` returns for that sector.
    ///
    /// As there are no data to copy, it is never in flight, and does not sleep, which a disk without memory
    /// must not do.
    ///
    /// # Errors
    ///
    /// Those of [`Self::begin_write`].
    #[inline]
    pub(in super::super) fn write(
        &self,
        sector: u64,
        sectors: u32,
        append: bool,
        done: impl FnMut(u64) -> u32,
    ) -> Result<u64, BlkError> {
        self.place(sector, sectors, append, false, done)
    }

    /// Moves a write pointer behind a write of which `done` sectors are written, and counts it as in flight
    /// if it has data.
    #[inline(always)]
    fn place(
        &self,
        sector: u64,
        sectors: u32,
        append: bool,
        has_data: bool,
        mut done: impl FnMut(u64) -> u32,
    ) -> Result<u64, BlkError> {
        let (zone, offset) = self.layout.locate(sector);
        let Some(word) = self.word(zone) else {
            if append {
                return Err(BlkError::IOERR);
            }
            // No write pointer moves, but the caller finds out there what it does not write.
            done(sector);
            return Ok(sector);
        };
        let start = sector - u64::from(offset);
        let capacity = self.layout.capacity_from(start);
        loop {
            // The data that the holder of the zone has freed are gone.
            let old = word.load(Acquire);
            let state = State::from_word(old);
            if has_data && state.is_held {
                self.wait_until(word, |state| !state.is_held);
                continue;
            }
            let fits = sectors <= capacity.saturating_sub(state.written);
            if !fits || (!append && state.written != offset) {
                return Err(BlkError::IOERR);
            }
            let sector = start + u64::from(state.written);
            let written = done(sector);
            if self.move_on(word, old, written, capacity, has_data)? {
                return Ok(sector);
            }
        }
    }

    /// Moves the write pointer of a zone whose word is `old` on by some sectors, and counts a write with
    /// data. Returns false if the word has changed meanwhile.
    #[inline(always)]
    fn move_on(
        &self,
        word: &Atomic<u64>,
        old: u64,
        sectors: u32,
        capacity: u32,
        has_data: bool,
    ) -> Result<bool, BlkError> {
        let before = State::from_word(old);
        let end = before.written + sectors;
        if before.is_open() && (has_data || end < capacity) {
            // The write pointer is in the lowest bits, which it does not leave, as the zone has room.
            let writer = if has_data { State::WRITER } else { 0 };
            let after = old + u64::from(sectors) + writer;
            return Ok(word.cmpxchg(old, after, Relaxed).is_ok());
        }
        let operation = if has_data {
            Operation::BeginWrite(end)
        } else {
            Operation::Write(end, capacity)
        };
        self.open_for_write(word, before, operation)
    }

    /// Opens a zone in state `before` for a write, or fills it. Returns false if the state has changed
    /// meanwhile.
    #[cold]
    fn open_for_write(
        &self,
        word: &Atomic<u64>,
        before: State,
        operation: Operation,
    ) -> Result<bool, BlkError> {
        let mut counts = self.lock_counts();
        let after = self.try_change(word, before, operation, counts.as_deref_mut())?;
        Ok(after.is_some())
    }

    /// Ends a write of `sectors` of data at `sector` of which `done` have been written. A zone that has been
    /// written to its capacity is full. If the write has failed and none has followed, the write pointer
    /// goes back.
    #[inline]
    pub(in super::super) fn end_write(&self, sector: u64, sectors: u32, done: u32) {
        let (zone, offset) = self.layout.locate(sector);
        let Some(word) = self.word(zone) else {
            return;
        };
        let end = offset + sectors;
        let after = if done == sectors && end < self.layout.capacity(zone) {
            // One subtraction, as nothing but the number changes: a compare and exchange would be tried
            // again when others write to the zone. The task that holds the zone sees the data.
            State::from_word(word.fetch_sub(State::WRITER, Release) - State::WRITER)
        } else {
            self.end_last_write(zone, end, offset + done)
        };
        if after.is_held && after.is_idle() {
            self.notify();
        }
    }

    /// Ends a write up to sector `end` of a zone, which has failed behind `done`, or reached the capacity.
    #[cold]
    fn end_last_write(&self, zone: usize, end: u32, done: u32) -> State {
        let operation = if done < end {
            Operation::Undo(end, done)
        } else {
            Operation::EndWrite(end)
        };
        // Fails for no zone that is written to.
        self.change(zone, operation).unwrap_or(State::EMPTY)
    }
}
