// SPDX-License-Identifier: GPL-2.0

//! Delays at places where two tasks may meet, so that tests can make them meet there. Only kernels
//! that check locks (`CONFIG_PROVE_LOCKING`) have them.

#[cfg(CONFIG_PROVE_LOCKING)]
pub(super) use self::enabled::{
    pass,
    set,
    show, //
};

use crate::named::named_enum;

named_enum! {
    /// The places.
    pub(super) enum Point {
        /// A call has found its context, and has not begun a request.
        Submit = "submit",
        /// A completion holds the lock, and has put its result into the ring.
        Fill = "fill",
        /// A submitter that finds no slot holds the lock.
        FreeSlots = "free_slots",
        /// A task has seen that there are not enough results, and is not counted as one that waits.
        Reap = "reap",
        /// A task is counted as one that waits, and does not sleep yet.
        Sleep = "sleep",
        /// A completion is left to a task that waits, and has not looked whether there is one.
        Leave = "leave",
        /// A request that waits for events has been found, and is to be cancelled.
        Cancel = "cancel",
        /// A context has been killed, and its requests have not been cancelled.
        Kill = "kill",
    }
}

/// Nothing, on this kernel.
#[cfg(not(CONFIG_PROVE_LOCKING))]
#[inline(always)]
pub(super) fn pass(_point: Point) {}

#[cfg(CONFIG_PROVE_LOCKING)]
mod enabled {
    use kernel::{
        fmt::Write as _,
        prelude::*,
        str::Formatter,
        sync::atomic::{
            ordering::Relaxed,
            Atomic, //
        },
        time::{
            delay::udelay,
            Delta, //
        },
    };

    use super::Point;
    use crate::named::Named;

    /// The longest delay, in ms.
    const LONGEST: u32 = 100;

    /// A delay of this many ms at each point.
    static DELAYS: [Atomic<u32>; Point::ALL.len()] = [const { Atomic::new(0) }; Point::ALL.len()];
    /// How often each point has been passed while it had a delay.
    static PASSED: [Atomic<u32>; Point::ALL.len()] = [const { Atomic::new(0) }; Point::ALL.len()];

    /// Waits at a point, if it has a delay, without giving the CPU up. Any context.
    pub(in super::super) fn pass(point: Point) {
        let (delay, passed) = (&DELAYS[point.index()], &PASSED[point.index()]);
        let ms = delay.load(Relaxed);
        if ms > 0 {
            passed.add(1, Relaxed);
        }
        for _ in 0..ms {
            udelay(Delta::from_millis(1));
        }
    }

    /// Writes a line for each point: its name, its delay in ms, and how often it has been passed with one.
    pub(in super::super) fn show(f: &mut Formatter<'_>) -> Result {
        for &point in Point::ALL {
            let (delay, passed) = (&DELAYS[point.index()], &PASSED[point.index()]);
            let (delay, passed) = (delay.load(Relaxed), passed.load(Relaxed));
            f.write_fmt(fmt!("{point} {delay} {passed}\n"))?;
        }
        Ok(())
    }

    /// Sets the delay of a point: its name, and ms.
    ///
    /// # Errors
    ///
    /// `EINVAL`: it is something else, or too long.
    pub(in super::super) fn set(text: &[u8]) -> Result {
        let mut words = text.split(|&c| c == b' ');
        let (Some(name), Some(delay), None) = (words.next(), words.next(), words.next()) else {
            return Err(EINVAL);
        };
        let point = *Point::ALL
            .iter()
            .find(|point| point.name().as_bytes() == name)
            .ok_or(EINVAL)?;
        let delay = core::str::from_utf8(delay)
            .ok()
            .and_then(|text| text.parse::<u32>().ok());
        let delay = delay.filter(|&ms| ms <= LONGEST).ok_or(EINVAL)?;
        PASSED[point.index()].store(0, Relaxed);
        DELAYS[point.index()].store(delay, Relaxed);
        Ok(())
    }
}
