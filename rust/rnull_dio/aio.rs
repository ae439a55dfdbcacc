// SPDX-License-Identifier: GPL-2.0

//! Linux AIO, rebuilt.
//!
//! [`control`] redirects the system calls of AIO. A context that a chosen program makes from then on
//! is one of [`context`], for good; all others stay with the kernel.
//!
//! A request takes a slot when it is submitted ([`submit`]), and gives it back when user space has
//! reaped its result ([`requests`]). When it is complete, its result gets into the ring ([`results`]).
//! A task that sleeps in `io_getevents(2)` ([`reap`]) is woken when there are as many results as it
//! waits for. That task also finishes completions which have to sleep ([`finish`]).

mod calls;
mod configfs;
mod context;
mod control;
mod delays;
mod filled;
mod finish;
mod limit;
mod polls;
mod reap;
mod requests;
mod results;
mod setup;
mod stats;
mod submit;

pub(crate) use self::configfs::{
    subsystem,
    Root, //
};
