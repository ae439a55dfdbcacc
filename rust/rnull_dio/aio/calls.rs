// SPDX-License-Identifier: GPL-2.0

//! The system calls.

use kernel::{
    current,
    error::code::ERESTARTNOHAND,
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
    uaccess::UserPtr, //
};

use kernel_ext::{
    aio::{
        read_address,
        read_sigset,
        read_timeout,
        write_address,
        GetEvents,
        Iocb,
        SystemCalls, //
    },
    compat::error::code::EINPROGRESS,
    context::MayIo,
    signal::with_user_sigmask,
    task, //
};

use super::{
    context::{
        Context,
        ContextRef,
        Contexts,
        Data, //
    },
    limit::Limit,
    polls::cancel,
    reap,
    setup,
    stats::{
        Event,
        Stats, //
    },
    submit, //
};

/// The programs whose contexts are those of this module, by the names of their tasks.
pub(super) enum Programs {
    /// None.
    None,
    /// All.
    All,
    /// Those with one of these names, which end with a NUL.
    Named(KVec<[u8; task::COMM_LEN]>),
}

impl Programs {
    /// Returns whether the current task is one of them.
    fn has_current(&self) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.contains(&task::comm()),
        }
    }
}

/// What gets the system calls.
#[pin_data]
pub(super) struct Calls {
    #[pin]
    programs: Mutex<Programs>,
    contexts: Arc<Contexts>,
    limit: Arc<Limit>,
    stats: Arc<Stats>,
}

impl Calls {
    pub(super) fn new(contexts: Arc<Contexts>, stats: Arc<Stats>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            programs <- new_mutex!(Programs::None),
            contexts,
            limit: Limit::new()?,
            stats,
        })
    }

    /// Sets the programs whose contexts are made by this module from now on.
    pub(super) fn set_programs(&self, programs: Programs) {
        *self.programs.lock() = programs;
    }

    /// Returns how many requests contexts were made for that are there.
    pub(super) fn reserved(&self) -> u64 {
        self.limit.reserved()
    }

    /// Tells the program where its context is.
    fn publish(&self, context: ContextRef, ctxp: UserPtr, io: &MayIo) -> Result<usize> {
        if let Err(err) = write_address(context.address(), ctxp, io) {
            // If another task has destroyed it, it is gone as well.
            let _ = context.destroy(io);
            return Err(err);
        }
        self.stats.inc(Event::Setup);
        Ok(0)
    }
}

fn wait_for_events(context: &Context, wanted: &GetEvents, io: &MayIo) -> Result<usize> {
    let limit = read_timeout(wanted.timeout, io)?;
    if !(0..=wanted.nr).contains(&wanted.min_nr) {
        return Err(EINVAL);
    }
    reap::get_events(context, wanted, limit, io)
}

impl SystemCalls for Calls {
    type Data = Data;

    fn setup(&self, nr_events: u32, ctxp: UserPtr, io: &MayIo) -> Option<Result<usize>> {
        let args = read_address(ctxp, io).and_then(|ctx| {
            if ctx == 0 {
                setup::results_for(nr_events)
            } else {
                Err(EINVAL)
            }
        });
        let programs = self.programs.lock();
        if !programs.has_current() {
            self.stats.inc(Event::Passed);
            return None;
        }
        // From the reservation on, the redirection stays.
        let reserved = args.and_then(|results| Ok((results, self.limit.reserve(nr_events, io)?)));
        drop(programs);
        let made = reserved.and_then(|(results, reservation)| {
            setup::new_context(results, reservation, &self.contexts, &self.stats, io)
        });
        match made {
            Ok(context) => Some(self.publish(context, ctxp, io)),
            // Neither the limit nor this module can be used any more.
            Err(err) if err == ENODEV || err == EIO => None,
            Err(err) => Some(Err(err)),
        }
    }

    #[inline]
    fn submit(context: &ContextRef, nr: isize, iocbpp: UserPtr, io: &MayIo) -> Result<usize> {
        submit::submit(context, nr, iocbpp, io)
    }

    fn cancel(context: &ContextRef, iocb: UserPtr, io: &MayIo) -> Result<usize> {
        if Iocb::key_of(iocb, io)? == Iocb::KEY
            && cancel(context, iocb.as_const_ptr().addr() as u64)
        {
            // The result gets into the ring.
            Err(EINPROGRESS)
        } else {
            Err(EINVAL)
        }
    }

    #[inline]
    fn get_events(context: &ContextRef, wanted: &GetEvents, io: &MayIo) -> Result<usize> {
        match wait_for_events(context, wanted, io) {
            Ok(0) if current!().signal_pending() => Err(EINTR),
            ret => ret,
        }
    }

    #[inline]
    fn pget_events(
        context: &ContextRef,
        wanted: &GetEvents,
        sigset: UserPtr,
        io: &MayIo,
    ) -> Result<usize> {
        let (mask, size) = read_sigset(sigset, io)?;
        let wait = || wait_for_events(context, wanted, io);
        let (ret, interrupted) = if mask.as_const_ptr().is_null() {
            let ret = wait();
            (ret, ret == Ok(0) && current!().signal_pending())
        } else {
            with_user_sigmask(mask, size, wait)?
        };
        match ret {
            Ok(0) if interrupted => Err(ERESTARTNOHAND),
            ret => ret,
        }
    }
}
