// SPDX-License-Identifier: GPL-2.0

//! The zones of a disk, and their write pointers.
//!
//! The state of a zone is a word, so that a write to an open zone takes one compare and exchange, and one
//! of data a subtraction as well. What opens, closes, fills or empties a zone takes a lock as well if the
//! number of open zones has a limit, and counts the change.

mod counts;
mod hold;
mod layout;
mod report;
mod state;
#[cfg(CONFIG_KUNIT = "y")]
mod tests;
mod write;

use kernel::{
    alloc::KVVec,
    fmt::{
        self,
        Write as _, //
    },
    new_condvar,
    new_mutex,
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter,
    sync::{
        atomic::{
            Atomic,
            Relaxed,
            Release, //
        },
        CondVar,
        Mutex,
        SpinLock,
        SpinLockGuard, //
    }, //
};

use kernel_ext::block::{
    mq::ZoneCondition,
    BlkError,
    BlkResult, //
};

use self::{
    counts::{
        Counts,
        Limits,
        Room, //
    },
    state::{
        Operation,
        State, //
    }, //
};

pub(super) use self::layout::Layout;

/// The zones of a disk. They are kept when it is off.
#[pin_data]
pub(super) struct Zones {
    layout: Layout,
    /// The words of the zones that are not conventional.
    states: KVVec<Atomic<u64>>,
    limits: Limits,
    /// Used if there are limits. Then words are changed to other conditions under the lock only.
    #[pin]
    counts: SpinLock<Counts>,
    /// Held by tasks while they look whether they have to wait for a zone.
    #[pin]
    waiting: Mutex<()>,
    /// Notified when a zone is no longer held, or has no write in flight while it is.
    #[pin]
    freed: CondVar,
    /// Where the search for a zone that can be closed goes on. Used under the lock only.
    next_to_close: Atomic<usize>,
}

impl Zones {
    /// Makes zones. May sleep.
    ///
    /// # Errors
    ///
    /// [`ENOMEM`].
    pub(super) fn new(layout: Layout) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            states: Self::first_states(&layout)?,
            limits: Limits {
                open: layout.max_open,
                active: layout.max_active,
            },
            counts <- new_spinlock!(Counts::default(), "rnull_dio_zones"),
            waiting <- new_mutex!((), "rnull_dio_zone_waiting"),
            freed <- new_condvar!("rnull_dio_zone_freed"),
            next_to_close: Atomic::new(0),
            layout,
        })
    }

    fn first_states(layout: &Layout) -> Result<KVVec<Atomic<u64>>> {
        let conventional = usize::try_from(layout.conventional)?;
        let zones = usize::try_from(layout.zones())?;
        let sequential = zones.checked_sub(conventional).ok_or(EINVAL)?;
        let mut states = KVVec::with_capacity(sequential, GFP_KERNEL)?;
        for zone in conventional..zones {
            let state = match layout.full {
                true => State {
                    condition: ZoneCondition::Full,
                    written: layout.capacity(zone),
                    ..State::EMPTY
                },
                false => State::EMPTY,
            };
            states.push(Atomic::new(state.to_word()), GFP_KERNEL)?;
        }
        Ok(states)
    }

    /// Returns how the disk is divided.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the number of zones.
    fn count(&self) -> usize {
        // CAST: From 32 bits to 64.
        self.layout.conventional as usize + self.states.len()
    }

    /// Returns the word of a zone, or [`None`] if it is conventional or beyond the disk.
    #[inline]
    fn word(&self, zone: usize) -> Option<&Atomic<u64>> {
        // CAST: From 32 bits to 64.
        self.states
            .get(zone.checked_sub(self.layout.conventional as usize)?)
    }

    fn state(&self, zone: usize) -> Option<State> {
        self.word(zone)
            .map(|word| State::from_word(word.load(Relaxed)))
    }

    /// Returns how many of the `sectors` from `sector` on have data that can be read. The others lie
    /// behind the write pointer.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if the zone is offline.
    #[inline]
    pub(super) fn readable(&self, sector: u64, sectors: u32) -> Result<u32, BlkError> {
        let (zone, offset) = self.layout.locate(sector);
        match self.state(zone) {
            None => Ok(sectors),
            Some(state) if state.condition == ZoneCondition::Offline => Err(BlkError::IOERR),
            Some(state) => Ok(state.written.saturating_sub(offset).min(sectors)),
        }
    }

    /// Opens the zone that has a sector.
    ///
    /// # Errors
    ///
    /// - [`BlkError::IOERR`] if the zone is conventional, full, read-only or offline.
    /// - [`BlkError::ZONE_OPEN_RESOURCE`] or [`BlkError::ZONE_ACTIVE_RESOURCE`] if it would be one too
    ///   many.
    pub(super) fn open(&self, sector: u64) -> BlkResult {
        self.change(self.layout.locate(sector).0, Operation::Open)?;
        Ok(())
    }

    /// Closes the zone that has a sector.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if the zone is neither open nor closed.
    pub(super) fn close(&self, sector: u64) -> BlkResult {
        self.change(self.layout.locate(sector).0, Operation::Close)?;
        Ok(())
    }

    /// Makes the zone full that has a sector.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] has them, except that a full zone stays full.
    pub(super) fn finish(&self, sector: u64) -> BlkResult {
        let (zone, _) = self.layout.locate(sector);
        self.change(zone, Operation::Finish(self.layout.capacity(zone)))?;
        Ok(())
    }

    /// Makes the zone empty that has a sector, after its data have been freed. If it has any, it must be
    /// held.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if the zone is conventional, read-only or offline, or if writes of data to it
    /// are in flight.
    pub(super) fn reset(&self, sector: u64) -> BlkResult {
        self.change(self.layout.locate(sector).0, Operation::Reset)?;
        Ok(())
    }

    /// Makes the zone that has a sector read-only or offline, or empty again if it is that. It must be
    /// held.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if the zone is conventional, or if writes of data to it are in flight.
    pub(super) fn fail(&self, sector: u64, condition: ZoneCondition) -> BlkResult {
        self.change(self.layout.locate(sector).0, Operation::Fail(condition))?;
        Ok(())
    }

    /// Does something to a zone, and returns its state then.
    #[cold]
    fn change(&self, zone: usize, operation: Operation) -> Result<State, BlkError> {
        let word = self.word(zone).ok_or(BlkError::IOERR)?;
        let mut counts = self.lock_counts();
        loop {
            let before = State::from_word(word.load(Relaxed));
            if let Some(after) = self.try_change(word, before, operation, counts.as_deref_mut())? {
                return Ok(after);
            }
        }
    }

    /// Returns the lock without which no zone changes its condition, if there are limits.
    fn lock_counts(&self) -> Option<SpinLockGuard<'_, Counts>> {
        self.limits.any().then(|| self.counts.lock())
    }

    /// Does something to a zone whose state is `before`, and returns its state then, or [`None`] if it has
    /// changed meanwhile.
    fn try_change(
        &self,
        word: &Atomic<u64>,
        before: State,
        operation: Operation,
        counts: Option<&mut Counts>,
    ) -> Result<Option<State>, BlkError> {
        let after = before.after(operation)?;
        let Some(counts) = counts else {
            return Ok(replace(word, before, after));
        };
        if before.needs_room(operation)
            && counts.room(before.condition, self.limits)? == Room::AfterClose
        {
            self.close_one(counts);
        }
        let changed = replace(word, before, after);
        if changed.is_some() {
            counts.change(before.condition, after.condition);
        }
        Ok(changed)
    }

    /// Closes a zone that was opened implicitly. There is one, as `counts` says.
    fn close_one(&self, counts: &mut Counts) {
        let first = self.next_to_close.load(Relaxed);
        let zones = self.states.len();
        for index in (0..zones).map(|nth| (first + nth) % zones) {
            while let Some((old, after)) = self.closed(index) {
                if replace(&self.states[index], old, after).is_some() {
                    counts.change(old.condition, after.condition);
                    self.next_to_close.store((index + 1) % zones, Relaxed);
                    return;
                }
            }
        }
    }

    /// Returns the state of a zone, by its index in `states`, and what it is when it is closed, if it was
    /// opened implicitly.
    fn closed(&self, index: usize) -> Option<(State, State)> {
        let state = State::from_word(self.states[index].load(Relaxed));
        if state.condition != ZoneCondition::ImplicitlyOpen {
            return None;
        }
        let after = state.after(Operation::Close).ok()?;
        Some((state, after))
    }

    /// Returns the first sectors of all zones.
    pub(super) fn starts(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.count()).map(|zone| self.layout.start(zone))
    }

    /// Returns the first sector and the length of the zone that has a sector.
    pub(super) fn range(&self, sector: u64) -> (u64, u64) {
        let (zone, _) = self.layout.locate(sector);
        (self.layout.start(zone), self.layout.len(zone))
    }

    /// Returns the condition of the zone that has a sector, or [`None`] if it is conventional or beyond the
    /// disk.
    pub(super) fn condition(&self, sector: u64) -> Option<ZoneCondition> {
        self.state(self.layout.locate(sector).0)
            .map(|state| state.condition)
    }

    /// Closes all open zones, as a disk does that loses power.
    pub(super) fn close_all(&self) {
        for zone in 0..self.count() {
            if self.state(zone).is_some_and(State::is_open) {
                // Fails for no zone that is open.
                let _ = self.change(zone, Operation::Close);
            }
        }
    }

    /// Writes the first sectors of the zones in a condition, with blanks between them, as many as a page
    /// has room for.
    pub(super) fn show(&self, condition: ZoneCondition, f: &mut Formatter<'_>) -> fmt::Result {
        // More than a number and a blank take.
        const MARGIN: usize = 32;
        let mut separator = "";
        for zone in 0..self.count() {
            let is_shown = self
                .state(zone)
                .is_some_and(|state| state.condition == condition);
            if is_shown && f.bytes_written() + MARGIN <= PAGE_SIZE {
                let start = self.layout.start(zone);
                f.write_fmt(fmt!("{separator}{start}"))?;
                separator = " ";
            }
        }
        Ok(())
    }
}

/// Replaces the state of a zone, and returns the new one, or [`None`] if it has changed meanwhile.
fn replace(word: &Atomic<u64>, before: State, after: State) -> Option<State> {
    // What was done to the data before is seen by the next write, or by the task that holds the zone.
    word.cmpxchg(before.to_word(), after.to_word(), Release)
        .ok()
        .map(|_| after)
}
