// SPDX-License-Identifier: GPL-2.0

//! Linux AIO: its system calls, contexts that processes map, and requests.
//!
//! This module has the unsafe half: what is mapped, referred to, or called by the kernel. Which
//! request gets a slot, where its result goes, and which task is woken is up to its user.
//!
//! | type | what it is |
//! |---|---|
//! | [`Interception`] | the redirection of the system calls |
//! | [`Contexts`] | the contexts of all processes |
//! | [`Context`], [`ContextRef`] | a context, and one of its users |
//! | [`Ring`] | the memory that a context shares with user space |
//! | [`Request`] | a request that is not complete |
//! | [`Unfinished`] | a request whose completion a task has to finish |
//! | [`Completed`] | a request that has its result |
//! | [`PollWait`] | a request that waits for events of a file |
//!
//! C header: [`include/linux/aio.h`](srctree/include/linux/aio.h)

mod calls;
mod completed;
mod context;
mod create;
mod file;
mod fsync;
mod iocb;
mod issued;
mod memory;
mod poll;
mod request;
mod ring;
mod rw;
mod table;
mod user;
mod users;

pub use self::{
    calls::{
        GetEvents,
        Interception,
        LastTasks,
        SystemCalls, //
    },
    completed::Completed,
    context::{
        Context,
        ContextData,
        ContextRef,
        Contexts, //
    },
    iocb::{
        Command,
        Iocb, //
    },
    issued::Unfinished,
    poll::{
        PollWait,
        Polls, //
    },
    request::{
        Request,
        Requests, //
    },
    ring::{
        Event,
        Ring, //
    },
    rw::Transfer,
    user::{
        read_address,
        read_sigset,
        read_timeout,
        write_address, //
    },
};
