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
        Contexts,
        Data, //
    },
    limit::Reservation,
    stats::Stats, //
};

/// The most bytes of the results of a ring.
const MAX_SIZE: u32 = 0x1000_0000;

/// Returns how many results the ring of a context for `nr_events` requests has room for at least.
///
/// # Errors
///
/// - `EINVAL`: there are none, or more than a ring has room for.
/// - `EAGAIN`: their number does not fit into 32 bits.
pub(super) fn results_for(nr_events: u32) -> Result<u32> {
    // Half of the slots may be in the shares of other CPUs. The kernel has as many, and what is too
    // large for 32 bits wraps there, too.
    let slots = nr_events
        .max(possible_cpus().get().saturating_mul(4))
        .wrapping_mul(2);
    // CAST: It is 32.
    if nr_events == 0 || slots > MAX_SIZE / size_of::<IoEvent>() as u32 {
        return Err(EINVAL);
    }
    if slots == 0 {
        return Err(EAGAIN);
    }
    Ok(slots + 2)
}

/// Makes a context with room for `results`. Sleeps.
///
/// # Errors
///
/// - `ENODEV`: the module is being unloaded.
/// - `EINTR`: the task is being killed.
/// - `ENOMEM`.
pub(super) fn new_context(
    results: u32,
    reservation: Reservation,
    contexts: &Arc<Contexts>,
    stats: &Arc<Stats>,
    io: &MayIo,
) -> Result<ContextRef> {
    let data = |ring: &_| Data::new(ring, reservation, stats.clone());
    Context::create(contexts, results, data, io)
}
