// SPDX-License-Identifier: GPL-2.0

//! Direct I/O: requests that bios carry, from their submission to the issuer's result.
//!
//! A request is a [`DioKiocb`] and one or more bios. Its state lies before its first bio, in the
//! same allocation. Types are its states:
//!
//! | type | state | owner |
//! |---|---|---|
//! | [`NewDio`] | allocated, without data | the submitter |
//! | [`FilledDio`] | first bio filled | the submitter |
//! | [`SubmitRef`], [`DioRef`] | in flight, reference counted | the submitter, and each bio |
//! | [`EndedBio`] | one bio has ended | its `end_io` |
//! | [`EndedDio`] | all bios have ended | the function that completes the request |
//!
//! The last reference becomes the [`EndedDio`], in one of three places: in the submitter, if all
//! bios had ended before; in the last bio's `end_io` (the completer); or in the waiter, an issuer
//! that sleeps for the request and that the completer wakes.
//!
//! This module uses `block`, `fs` and `io_uring`; none of them uses this module.

mod attach;
mod buffered;
mod call;
mod deferring;
mod direct;
mod end_io;
mod ended;
mod engine;
mod fallocate;
mod gate;
mod head;
mod issuer;
mod kiocb;
mod new;
mod polled;
mod refs;
mod tail;
#[cfg(CONFIG_KUNIT)]
pub mod test_io;
pub mod trace;
pub mod uapi;
pub mod uring;

pub use self::{
    attach::{
        Attachment,
        Redirection, //
    },
    buffered::{
        buffered_write,
        direct_write_fallback, //
    },
    call::{
        DioCall,
        EndIoFlags, //
    },
    deferring::{
        Deferred,
        DeferringKiocb,
        Outcome, //
    },
    direct::direct_io,
    end_io::{
        EndIo,
        EndedBio,
        RedirtyBio, //
    },
    ended::{
        EndedDio,
        HandOver, //
    },
    engine::{
        Engine,
        Taken, //
    },
    fallocate::{
        fallocate,
        ZeroRange, //
    },
    gate::{
        DioExclusion,
        DioGate,
        Gated, //
    },
    head::{
        BioSet,
        DioTarget, //
    },
    kiocb::DioKiocb,
    new::{
        FilledDio,
        NewDio, //
    },
    polled::poll_cookie,
    refs::{
        DioRef,
        LastRef,
        SubmitRef, //
    },
    tail::{
        FilledTail,
        NewTail, //
    },
};
