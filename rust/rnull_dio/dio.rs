// SPDX-License-Identifier: GPL-2.0

//! Direct I/O engine: `iomap_dio_rw()`.
//!
//! A request passes through these files in turn: [`rw`] gets it, [`passed`] decides whether the
//! kernel's own code does it, [`plan`] prepares it, [`submit`] and [`zeroes`] submit its bios along
//! the mappings of its file system, [`end_io`] collects the bios, [`dispatch`] sends the request to
//! the context that runs the rest of its completion, which [`route`] decides, and [`complete`] is
//! that rest. Contexts other than the issuer's own and the interrupt's are [`poll`], [`worker`],
//! which completes a [`batch`] at a time, and [`redirty`]. A [`policy`] makes the engine decide as
//! Linux did before.
//!
//! An [`Engine`] is for some [`Files`], and knows nothing else of them than what their file system
//! passes to `iomap_dio_rw()`.

mod batch;
mod checker;
mod complete;
mod direction;
mod dispatch;
mod end_io;
mod engine;
mod files;
mod flush_group;
mod must_not_compile;
mod needs;
mod passed;
mod plan;
mod policy;
mod poll;
mod queue;
mod redirty;
mod request;
mod route;
mod rw;
mod stats;
mod submit;
mod sync_range;
mod target;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod worker;
mod zeroes;

pub(crate) use self::{
    engine::Engine,
    files::Files,
    policy::Policy,
    poll::poll,
    route::show_table,
    stats::StatsFiles, //
};
