// SPDX-License-Identifier: GPL-2.0

//! Direct I/O engine.
//!
//! A request passes through these files in turn: [`plan`] checks it and decides how it is done,
//! [`submit`] submits its bios, [`end_io`] collects them, [`dispatch`] sends the request to the
//! context that runs the rest of its completion, which [`route`] decides, and [`complete`] is that
//! rest. Contexts other than the issuer's own and the interrupt's are [`poll`], [`worker`] and
//! [`redirty`]. A [`policy`] makes the engine decide as Linux did before.
//!
//! A file system uses the engine by [`File`], and describes its file by [`DioFile`]. The engine
//! knows nothing else of it.

mod checker;
mod complete;
mod dispatch;
mod end_io;
mod engine;
mod file;
mod flush_group;
mod must_not_compile;
mod needs;
mod plan;
mod policy;
mod poll;
mod queue;
mod range;
mod redirty;
mod request;
mod route;
mod stats;
mod submit;
mod target;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod worker;

pub(crate) use self::{
    checker::Checker,
    engine::Engine,
    file::{
        DioFile,
        File, //
    },
    flush_group::FlushGroup,
    needs::Needs,
    policy::Policy,
    poll::poll,
    queue::{
        RedirtyQueue,
        WorkerQueue, //
    },
    range::Direction,
    route::{
        route,
        show_table,
        Arrival,
        Issuer,
        Route, //
    },
    stats::Stats,
    submit::submit, //
};
