// SPDX-License-Identifier: GPL-2.0

//! Work for a task to do before it goes on in user space.
//!
//! C header: [`include/linux/task_work.h`](srctree/include/linux/task_work.h)

use core::{
    array,
    ptr::{
        null_mut,
        NonNull, //
    }, //
};

use kernel::{
    container_of,
    error::to_result,
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    types::Opaque, //
};

use crate::{
    bindings,
    context::Task,
    sync::llist::{
        LockFreeList,
        Node, //
    },
};

/// How many tasks can have mail at a time; who finds no box is refused.
const BOXES: usize = 32;
/// How many boxes a task looks into.
const PROBES: usize = 4;

/// An object that a certain task has to deal with.
///
/// # Safety
///
/// The task of [`task`](Self::task) must not go away as long as the object exists.
pub unsafe trait Mail: Node {
    /// The task, which is always the same.
    fn task(&self) -> NonNull<bindings::task_struct>;

    /// Called in that task. Also while it is exiting.
    fn deliver(self, task: &Task);
}

/// Collects objects for tasks: a task is told of the first, and finds all that have come by then.
#[pin_data]
pub struct Mailboxes<N: Mail> {
    #[pin]
    boxes: [Mailbox<N>; BOXES],
}

impl<N: Mail> Mailboxes<N> {
    /// Creates boxes that are free.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            boxes <- pin_init::pin_init_array_from_fn(|_| Mailbox::new()),
        })
    }

    /// Leaves `mail` for its task. Any context.
    ///
    /// The mail must be what keeps the boxes in place: they are not accessed once it has been
    /// delivered.
    ///
    /// # Errors
    ///
    /// Gives the mail back, which is never delivered then, with
    ///
    /// - `ESRCH`: the task is exiting.
    /// - `EBUSY`: too many other tasks have mail.
    pub fn post(&self, mail: N) -> Result<(), (N, Error)> {
        let task = mail.task();
        // SAFETY: The task is there as long as its mail. Others change the flags, but this one is
        // set once and for all.
        if unsafe { (&raw const (*task.as_ptr()).flags).read_volatile() } & bindings::PF_EXITING
            != 0
        {
            return Err((mail, ESRCH));
        }
        let mut mail = mail;
        for number in probe(task) {
            match self.boxes[number].put(mail) {
                Err((back, EBUSY)) => mail = back,
                done => return done,
            }
        }
        Err((mail, EBUSY))
    }
}

/// The boxes that a task may use.
fn probe(task: NonNull<bindings::task_struct>) -> [usize; PROBES] {
    // Tasks are some cache lines apart.
    let first = task.as_ptr().addr() >> 6;
    array::from_fn(|i| (first ^ (first >> 6)).wrapping_add(i) % BOXES)
}

/// A box for the mail of one task at a time.
///
/// # Invariants
///
/// `work` is pending, or its function has not taken the lock yet, if and only if there is a task in
/// `contents`, whose task work it is.
#[pin_data]
struct Mailbox<N: Mail> {
    work: Opaque<bindings::callback_head>,
    #[pin]
    contents: SpinLockIrq<Contents<N>>,
}

struct Contents<N: Mail> {
    /// Null if the box is free.
    task: *mut bindings::task_struct,
    mail: LockFreeList<N>,
}

// The mail is never pinned.
impl<N: Mail> Unpin for Contents<N> {}

// SAFETY: The pointer is only compared, and the mail is `Send`.
unsafe impl<N: Mail> Send for Contents<N> {}

// SAFETY: The work is only accessed by who has put a task into the contents, and by the kernel.
unsafe impl<N: Mail> Sync for Mailbox<N> {}

// SAFETY: A box that is moved to another thread is free.
unsafe impl<N: Mail> Send for Mailbox<N> {}

impl<N: Mail> Mailbox<N> {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            work: Opaque::new(bindings::callback_head {
                next: null_mut(),
                func: Some(Self::run),
            }),
            contents <- new_spinlock_irq!(Contents {
                task: null_mut(),
                mail: LockFreeList::new(),
            }),
        })
    }

    /// Adds `mail`, if the box is free or has other mail for the same task.
    fn put(&self, mail: N) -> Result<(), (N, Error)> {
        let task = mail.task().as_ptr();
        // Two CPUs may end requests of one task, so this is locked; the line is shared by them and
        // the task, who pass on the requests themselves, too.
        let mut contents = self.contents.lock();
        if contents.task.is_null() {
            // SAFETY: The task is there as long as its mail. By the type invariant the work is not
            // in use; its box stays, since the mail that follows keeps it in place.
            let ret = to_result(unsafe {
                bindings::task_work_add(
                    task,
                    self.work.get(),
                    bindings::task_work_notify_mode_TWA_SIGNAL,
                )
            });
            if ret.is_err() {
                return Err((mail, ESRCH));
            }
            // INVARIANT: The work is pending, and its function will wait for the lock.
            contents.task = task;
        } else if contents.task != task {
            return Err((mail, EBUSY));
        }
        contents.mail.push(mail);
        Ok(())
    }

    /// # Safety
    ///
    /// For the kernel to call, with the work of a box.
    unsafe extern "C" fn run(work: *mut bindings::callback_head) {
        let work = work.cast::<Opaque<bindings::callback_head>>();
        // SAFETY: The work is the field of a box, which its mail keeps in place.
        let this = unsafe { &*container_of!(work, Self, work) };
        let batch = {
            let mut contents = this.contents.lock();
            // INVARIANT: The work has been run.
            contents.task = null_mut();
            contents.mail.take_all()
        };
        let task = Task::new();
        for mail in batch {
            mail.deliver(&task);
        }
    }
}
