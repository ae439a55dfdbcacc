// SPDX-License-Identifier: GPL-2.0

//! `io_setup(2)`.

use kernel::{
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    aio::Event as IoEvent,
    context::MayIo,
    percpu_pool::possible_cpus, //
};

use super::{
    context::{
        Context,
        ContextRef,
        Data,
        Table, //
    },
    limit::Limit,
    stats::Stats, //
};

/// The most bytes of the results of a ring.
const MAX_SIZE: u32 = 0x1000_0000;

/// Makes a context for `nr_events` requests. Sleeps.
///
/// # Errors
///
/// - `EINVAL`: they are more than a ring has room for.
/// - `EAGAIN`: they are too many for the limit of all contexts.
/// - `ENOMEM`.
pub(super) fn new_context(
    nr_events: u32,
    table: &Arc<Table>,
    limit: &Arc<Limit>,
    stats: &Arc<Stats>,
    io: &MayIo,
) -> Result<ContextRef> {
    // Half of the slots may be in the shares of other CPUs. The kernel has as many, and what is too
    // large for 32 bits wraps there, too.
    let slots = nr_events
        .max(possible_cpus().get().saturating_mul(4))
        .wrapping_mul(2);
    // CAST: It is 32.
    if slots > MAX_SIZE / size_of::<IoEvent>() as u32 {
        return Err(EINVAL);
    }
    if slots == 0 {
        return Err(EAGAIN);
    }
    let reservation = limit.reserve(nr_events, io)?;
    let data = |ring: &_| Data::new(ring, reservation, stats.clone());
    Context::create(table, slots + 2, data, io)
}
