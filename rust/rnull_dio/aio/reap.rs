// SPDX-License-Identifier: GPL-2.0

//! `io_getevents(2)`: taking results from the ring, and waiting for them.

use kernel::{
    prelude::*,
    time::{
        Instant,
        Monotonic, //
    },
    uaccess::UserPtr, //
};

use kernel_ext::{
    aio::{
        Event as IoEvent,
        GetEvents, //
    },
    compat::error::code::ETIME,
    context::MayIo, //
};

use super::{
    context::Context,
    filled::{
        distance,
        next, //
    },
    finish,
};

/// The end of a wait: when it began, and its limit in ns.
struct Deadline(Option<(Instant<Monotonic>, i64)>);

impl Deadline {
    fn new(limit: Option<i64>) -> Self {
        Self(limit.map(|limit| (Instant::now(), limit)))
    }

    /// Returns what is left of the limit, in ns.
    fn left(&self) -> Option<i64> {
        let (begin, limit) = self.0.as_ref()?;
        Some(limit.saturating_sub(begin.elapsed().as_nanos()))
    }
}

/// Takes up to `wanted.nr` results, and waits for `wanted.min_nr` up to `limit` ns. Sleeps. Returns
/// how many there were.
///
/// # Errors
///
/// Only if there were none.
///
/// - `EINVAL`: the context was destroyed.
/// - `EFAULT`: results cannot be copied; they stay in the ring.
pub(super) fn get_events(
    context: &Context,
    wanted: &GetEvents,
    limit: Option<i64>,
    io: &MayIo,
) -> Result<usize> {
    // CAST: The caller has checked that they are not negative.
    let (min_nr, nr) = (wanted.min_nr as usize, wanted.nr as usize);
    let deadline = Deadline::new(limit.filter(|&limit| limit > 0));
    let mut got = 0;
    let mut waited = Ok(());
    loop {
        let completed = context.completions.completed.get();
        let to = wanted.events.wrapping_byte_add(got * size_of::<IoEvent>());
        match take_events(context, nr - got, to) {
            Ok(count) => got += count,
            Err(err) => return if got > 0 { Ok(got) } else { Err(err) },
        }
        if got > 0 && got >= min_nr {
            return Ok(got);
        }
        if context.is_dead() {
            return if got > 0 { Ok(got) } else { Err(EINVAL) };
        }
        if min_nr == 0 || waited.is_err() || limit == Some(0) {
            return Ok(got);
        }
        // All that were complete are in user space, so that these many more are needed. A task that
        // reaps at the same time may get them; then this one waits again.
        let enough = completed + (min_nr - got) as u64;
        waited = match deadline.left() {
            Some(..=0) => Err(ETIME),
            left => finish::wait(context, enough, left, io),
        };
    }
}

/// Takes up to `room` results. May sleep.
fn take_events(context: &Context, room: usize, to: UserPtr) -> Result<usize> {
    let ring = context.ring();
    if ring.is_empty() {
        return Ok(0);
    }
    let _reaping = context.reapers.lock.lock();
    let capacity = ring.capacity();
    // A program that changes them gets what it asks for, as from the kernel.
    let (mut head, tail) = (ring.head(), ring.tail());
    let mut taken = 0;
    while head != tail && taken < room {
        // Up to the end of the memory, after which the ring begins again.
        let there = distance(head, tail, capacity).min(capacity - head);
        // CAST: The minimum with a `u32` is one.
        let count = (room - taken).min(there as usize) as u32;
        let to = to.wrapping_byte_add(taken * size_of::<IoEvent>());
        ring.copy_to_user(head, count, to)?;
        head = next(head, count, capacity);
        taken += count as usize;
    }
    if taken > 0 {
        ring.set_head(head);
    }
    Ok(taken)
}
