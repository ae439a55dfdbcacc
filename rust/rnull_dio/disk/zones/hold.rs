// SPDX-License-Identifier: GPL-2.0

//! Zones that are held: the exclusion of writes while the data of a zone are freed.
//!
//! A write is in flight while its data are copied, from when the write pointer has moved until the number
//! in the word of the zone is decremented. The number is in the word of the write pointer, so that one
//! compare and exchange does both, and a task that has set the bit of held zones misses no write.
//!
//! Both ends are in `queue_rq`: neither a timer nor a limit of the disk nor an injected fault is between
//! them. But memory may be allocated, for which the task sleeps, and it may be preempted. So to spin until
//! it has ended could take forever, on the CPU that the other task needs. Tasks sleep instead, which they
//! may because a disk with memory is one that blocks. Without memory there are no data, hence no writes in
//! flight, and nothing to wait for.
//!
//! While a zone is held no other write begins, as otherwise there might always be one in flight. There is
//! no deadlock: no task holds two zones, or waits for a zone while it has a write in flight.

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
    state::State,
    Zones, //
};

/// A zone to which no write of data is in flight or begins.
///
/// # Invariants
///
/// The zone with this word is held, by the owner of this.
pub(in super::super) struct HeldZone<'a> {
    zones: &'a Zones,
    word: &'a Atomic<u64>,
}

impl Zones {
    /// Holds the zone that has a sector, after all writes of data in flight have ended. Sleeps.
    ///
    /// # Errors
    ///
    /// [`BlkError::IOERR`] if the zone is conventional or beyond the disk.
    pub(in super::super) fn hold(&self, sector: u64) -> Result<HeldZone<'_>, BlkError> {
        let (zone, _) = self.layout.locate(sector);
        let word = self.word(zone).ok_or(BlkError::IOERR)?;
        loop {
            let before = State::from_word(word.load(Relaxed));
            if before.is_held {
                self.wait_until(word, |state| !state.is_held);
                continue;
            }
            let after = State {
                is_held: true,
                ..before
            };
            // Not before the writes in flight have ended, but now, so that no other one begins.
            if word
                .cmpxchg(before.to_word(), after.to_word(), Relaxed)
                .is_ok()
            {
                break;
            }
        }
        // INVARIANT: Set above, and cleared by the drop only.
        let held = HeldZone { zones: self, word };
        self.wait_until(word, State::is_idle);
        Ok(held)
    }

    /// Sleeps until a zone is in a certain state. What was done to the data before is seen.
    #[cold]
    pub(super) fn wait_until(&self, word: &Atomic<u64>, is_reached: impl Fn(State) -> bool) {
        let mut waiting = self.waiting.lock();
        while !is_reached(State::from_word(word.load(Acquire))) {
            self.freed.wait(&mut waiting);
        }
    }

    /// Wakes all tasks that wait for a zone, after the word has changed: those that have looked at it
    /// before sleep, or are about to with the lock held.
    #[cold]
    pub(super) fn notify(&self) {
        let _waiting = self.waiting.lock();
        self.freed.notify_all();
    }
}

impl Drop for HeldZone<'_> {
    fn drop(&mut self) {
        // Others may change the condition and the write pointer, but not the bit, which is set.
        self.word.fetch_sub(State::HOLD, Release);
        self.zones.notify();
    }
}

#[kunit_tests(rnull_dio_disk_zone_hold)]
mod tests {
    use super::{
        super::Layout,
        *, //
    };
    use kernel::{
        sync::{
            Arc,
            Completion, //
        },
        time::{
            delay::fsleep,
            Delta, //
        }, //
    };
    use kernel_ext::{
        context::MayIo,
        workqueue::{
            IoWork,
            IoWorkItem,
            OwnedQueue, //
        }, //
    };

    const SECTORS: u32 = 2048;
    const WAIT: Delta = Delta::from_millis(30);

    /// What another task does with the zone.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Task {
        Hold,
        Append,
    }

    #[pin_data]
    struct Other {
        zones: Arc<Zones>,
        task: Task,
        /// Whether it has done that.
        has_passed: Atomic<bool>,
        #[pin]
        done: Completion,
    }

    impl IoWorkItem for Other {
        fn run(&self, _io: &MayIo) {
            let result = match self.task {
                Task::Hold => self.zones.hold(0).map(drop),
                Task::Append => self.zones.begin_write(0, 8, true).map(|sector| {
                    self.zones.end_write(sector, 8, 8);
                }),
            };
            self.has_passed.store(result.is_ok(), Relaxed);
            self.done.complete_all();
        }
    }

    /// Has another task do something to the zone.
    fn start(zones: &Arc<Zones>, task: Task, queue: &OwnedQueue) -> Result<Arc<IoWork<Other>>> {
        let other = pin_init!(Other {
            zones: zones.clone(),
            task,
            has_passed: Atomic::new(false),
            done <- Completion::new(),
        });
        let other = IoWork::new(other, queue)?;
        other.clone().enqueue();
        Ok(other)
    }

    /// Makes a disk with one zone.
    fn zones() -> Result<Arc<Zones>> {
        let layout = Layout {
            disk: SECTORS.into(),
            zone: SECTORS,
            capacity: SECTORS,
            conventional: 0,
            full: false,
            max_open: 0,
            max_active: 0,
            max_append: 8,
        };
        Arc::pin_init(Zones::new(layout), GFP_KERNEL)
    }

    fn is_held(zones: &Zones) -> bool {
        zones.state(0).is_some_and(|state| state.is_held)
    }

    #[test]
    fn a_zone_is_held_after_writes_have_ended() -> Result {
        let (zones, queue) = (zones()?, OwnedQueue::new(c"rnull_dio_kunit")?);
        for (sectors, done) in [(8, 8), (8, 0), (SECTORS, SECTORS), (SECTORS, 0)] {
            assert_eq!(zones.begin_write(0, sectors, false), Ok(0));
            let other = start(&zones, Task::Hold, &queue)?;
            while !is_held(&zones) && !other.has_passed.load(Relaxed) {
                fsleep(Delta::from_millis(1));
            }
            fsleep(WAIT);
            assert!(!other.has_passed.load(Relaxed));
            zones.end_write(0, sectors, done);
            other.done.wait_for_completion();
            assert!(other.has_passed.load(Relaxed));
            assert!(!is_held(&zones));
            assert_eq!(zones.reset(0), Ok(()));
        }
        Ok(())
    }

    #[test]
    fn the_last_of_several_writes_is_waited_for() -> Result {
        let (zones, queue) = (zones()?, OwnedQueue::new(c"rnull_dio_kunit")?);
        for sector in [0, 8, 16] {
            assert_eq!(zones.begin_write(0, 8, true), Ok(sector));
        }
        let other = start(&zones, Task::Hold, &queue)?;
        while !is_held(&zones) && !other.has_passed.load(Relaxed) {
            fsleep(Delta::from_millis(1));
        }
        for (sector, done) in [(8, 8), (16, 0), (0, 8)] {
            fsleep(WAIT);
            assert!(!other.has_passed.load(Relaxed));
            zones.end_write(sector, 8, done);
        }
        other.done.wait_for_completion();
        assert!(other.has_passed.load(Relaxed));
        Ok(())
    }

    #[test]
    fn a_held_zone_is_waited_for() -> Result {
        let (zones, queue) = (zones()?, OwnedQueue::new(c"rnull_dio_kunit")?);
        for task in [Task::Append, Task::Hold] {
            assert_eq!(zones.begin_write(0, 8, true), Ok(0));
            zones.end_write(0, 8, 8);
            let held = zones.hold(0);
            assert!(held.is_ok());
            let other = start(&zones, task, &queue)?;
            fsleep(WAIT);
            assert!(!other.has_passed.load(Relaxed));
            assert_eq!(zones.reset(0), Ok(()));
            drop(held);
            other.done.wait_for_completion();
            assert!(other.has_passed.load(Relaxed));
            // It was behind the write before the reset, and is in place of it.
            let written = zones.state(0).map(|state| state.written);
            assert_eq!(written, Some(if task == Task::Append { 8 } else { 0 }));
            assert_eq!(zones.reset(0), Ok(()));
        }
        Ok(())
    }
}
