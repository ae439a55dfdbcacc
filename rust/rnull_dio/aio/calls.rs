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
        Call,
        GetEvents,
        Iocb,
        SystemCalls, //
    },
    context::MayIo,
    signal::with_user_sigmask,
    task, //
};

use super::{
    context::{
        Context,
        ContextRef,
        Table, //
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
    table: Arc<Table>,
    limit: Arc<Limit>,
    stats: Arc<Stats>,
}

impl Calls {
    pub(super) fn new(stats: Arc<Stats>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            programs <- new_mutex!(Programs::None),
            table: Arc::try_pin_init(Table::new(), GFP_KERNEL)?,
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

    fn find(&self, ctx: usize) -> Option<ContextRef> {
        Context::find(&self.table, ctx)
    }

    fn setup(&self, nr_events: u32, ctxp: UserPtr, io: &MayIo) -> Option<Result<usize>> {
        let args = read_address(ctxp, io).and_then(|ctx| {
            let results = setup::results_for(nr_events)?;
            if ctx == 0 {
                Ok(results)
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
            setup::new_context(results, reservation, &self.table, &self.stats, io)
        });
        match made {
            Ok(context) => Some(self.publish(context, ctxp, io)),
            // Neither the limit nor this module can be used any more.
            Err(err) if err == ENODEV || err == EIO => None,
            Err(err) => Some(Err(err)),
        }
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

    fn submit(&self, ctx: usize, nr: isize, iocbpp: UserPtr, io: &MayIo) -> Option<Result<usize>> {
        // The kernel refuses a negative number, whatever the context is.
        let nr = usize::try_from(nr).ok()?;
        let context = self.find(ctx)?;
        Some(submit::submit(&context, nr, iocbpp, io))
    }

    fn destroy(&self, ctx: usize, io: &MayIo) -> Option<Result<usize>> {
        let context = self.find(ctx)?;
        Some(context.destroy(io).map(|()| 0))
    }

    fn cancel(&self, ctx: usize, iocb: UserPtr, io: &MayIo) -> Option<Result<usize>> {
        let context = self.find(ctx)?;
        Some(match Iocb::key_of(iocb, io) {
            Err(err) => Err(err),
            Ok(Iocb::KEY) if cancel(&context, iocb.as_const_ptr().addr() as u64) => {
                // The result gets into the ring.
                Err(EINPROGRESS)
            }
            Ok(_) => Err(EINVAL),
        })
    }

    fn get_events(&self, wanted: &GetEvents, io: &MayIo) -> Option<Result<usize>> {
        let context = self.find(wanted.ctx)?;
        Some(match wait_for_events(&context, wanted, io) {
            Ok(0) if current!().signal_pending() => Err(EINTR),
            ret => ret,
        })
    }

    fn pget_events(
        &self,
        wanted: &GetEvents,
        sigset: UserPtr,
        io: &MayIo,
    ) -> Option<Result<usize>> {
        // The mask of signals must not be changed for a context of the kernel's.
        let context = self.find(wanted.ctx)?;
        Some(read_sigset(sigset, io).and_then(|(mask, size)| {
            let wait = || wait_for_events(&context, wanted, io);
            match with_user_sigmask(mask, size, wait)? {
                (Ok(0), true) => Err(ERESTARTNOHAND),
                (ret, _) => ret,
            }
        }))
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
    // Hot path: the call is passed to one of these functions without being stored.
    #[inline(always)]
    fn call(&self, call: Call, io: &MayIo) -> Option<Result<usize>> {
        match call {
            Call::Setup { nr_events, ctxp } => self.setup(nr_events, ctxp, io),
            Call::Destroy { ctx } => self.destroy(ctx, io),
            Call::Submit { ctx, nr, iocbpp } => self.submit(ctx, nr, iocbpp, io),
            Call::Cancel { ctx, iocb } => self.cancel(ctx, iocb, io),
            Call::GetEvents(wanted) => self.get_events(&wanted, io),
            Call::PGetEvents(wanted, sigset) => self.pget_events(&wanted, sigset, io),
        }
    }
}
