// SPDX-License-Identifier: GPL-2.0

//! Requests of a context, until they are issued.

use core::{
    mem::ManuallyDrop,
    ptr::{
        self,
        null_mut, //
    },
};

use kernel::{
    prelude::*,
    sync::atomic::Atomic,
    uaccess::UserPtr, //
};

use super::{
    completed::Completed,
    context::{
        Context,
        ContextData,
        ContextRef, //
    },
    iocb::Iocb,
    issued::{
        deliver,
        kiocb_complete,
        Issued,
        Unfinished, //
    },
    memory::{
        Inner,
        Memory, //
    },
    ring::Event, //
};
use crate::{
    context::MaySleep,
    dio::DeferringKiocb,
    eventfd::EventFd,
    fs::open_file::fget, //
};

/// What requests belong to.
pub trait Requests: ContextData {
    /// Begins a request, in the task that submits it.
    ///
    /// # Errors
    ///
    /// There is no such request.
    fn begin(context: &Context<Self>) -> Result;

    /// Ends a request that has begun and is not completed, because it was not issued. Any context.
    fn abandon(context: &Context<Self>);

    /// Takes a request that is complete. Any context, hard interrupts included.
    fn complete(request: Completed<Self>);

    /// Takes a request whose completion has to be finished by a task that sleeps for results, and
    /// for nothing else, and soon. It is dropped if there is no such task. Any context, hard
    /// interrupts included.
    fn finish_later(request: Unfinished<Self>);
}

/// The beginning of a request, which is abandoned if this is dropped.
struct Begun<T: Requests>(ContextRef<T>);

impl<T: Requests> Begun<T> {
    fn new(context: ContextRef<T>) -> Result<Self> {
        T::begin(&context)?;
        Ok(Self(context))
    }

    fn into_context(self) -> ContextRef<T> {
        let this = ManuallyDrop::new(self);
        // SAFETY: The object is not used, nor dropped, after this.
        unsafe { ptr::read(&raw const this.0) }
    }
}

impl<T: Requests> Drop for Begun<T> {
    fn drop(&mut self) {
        T::abandon(&self.0);
    }
}

/// A request of a context, which it keeps. It has begun, and is abandoned if this is dropped.
pub struct Request<T: Requests>(Memory<T>);

// SAFETY: What it owns belongs to no thread.
unsafe impl<T: Requests> Send for Request<T> {}

impl<T: Requests> Request<T> {
    /// Begins a request, for what user space describes at `user_iocb`. May sleep.
    ///
    /// # Errors
    ///
    /// - Those of [`Requests::begin`].
    /// - `EBADF`: there is no such file descriptor.
    /// - Those of [`EventFd::fdget`].
    /// - `EAGAIN`: there is no memory.
    pub fn new(
        context: ContextRef<T>,
        iocb: &Iocb,
        user_iocb: UserPtr,
        _ctx: &MaySleep,
    ) -> Result<Self> {
        let begun = Begun::new(context)?;
        let file = fget(iocb.fildes)?;
        let eventfd = if iocb.flags & Iocb::RESFD != 0 {
            Some(EventFd::fdget(iocb.resfd)?)
        } else {
            None
        };
        let requests = &begun.0.contexts.requests;
        let object = requests.alloc().map_err(|_| EAGAIN)?;
        let inner = Inner {
            // SAFETY: The file stays until the request is complete.
            kiocb: unsafe {
                DeferringKiocb::new(file.as_ptr(), iocb.offset, 0, true, kiocb_complete::<T>)
            },
            refs: Atomic::new(0),
            link: null_mut(),
            context: ManuallyDrop::new(begun.into_context()),
            file: Some(file),
            eventfd,
            event: Event {
                data: iocb.data,
                obj: user_iocb.as_const_ptr().addr() as u64,
                ..Event::default()
            },
            rest: None,
        };
        // SAFETY: It is a new object of the cache of the context.
        Ok(Self(unsafe { Memory::new(object, inner) }))
    }

    fn into_memory(self) -> Memory<T> {
        let this = ManuallyDrop::new(self);
        // SAFETY: The object is not used, nor dropped, after this.
        unsafe { ptr::read(&raw const this.0) }
    }

    pub(super) fn inner_mut(&mut self) -> &mut Inner<T> {
        self.0.get_mut()
    }

    /// Returns the context.
    #[inline]
    pub fn context(&self) -> &ContextRef<T> {
        &self.0.get().context
    }

    /// Returns the address of the request in user space.
    pub fn obj(&self) -> u64 {
        self.0.get().event.obj
    }

    /// Completes the request. Any context.
    pub(super) fn complete(mut self, res: isize) {
        self.inner_mut().event.res = res as i64;
        deliver(self.into_memory());
    }

    /// Gives the request up for the reference of the submitter. The completion function of its kiocb
    /// has the other one.
    pub(super) fn issue(self) -> Issued<T> {
        Issued::new(self.into_memory())
    }
}

impl<T: Requests> Drop for Request<T> {
    fn drop(&mut self) {
        T::abandon(self.context());
    }
}
