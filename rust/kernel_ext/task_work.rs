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

#[kunit_tests(rnull_dio_mailboxes)]
mod tests {
    use core::ffi::c_void;

    use kernel::{
        current,
        sync::{
            aref::ARef,
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc, //
        },
        task,
    };

    use super::*;

    /// How much mail has been delivered.
    static DELIVERED: Atomic<u32> = Atomic::new(0);
    /// The task that it was for, with a reference, once it may have ended.
    static ADDRESSEE: Atomic<*mut task::Task> = Atomic::new(null_mut());

    struct Letter {
        task: NonNull<bindings::task_struct>,
        link: *mut c_void,
        /// What keeps the boxes.
        _boxes: Arc<Mailboxes<KBox<Letter>>>,
    }

    // SAFETY: The pointer to the task is not used but to post the letter.
    unsafe impl Send for Letter {}

    // SAFETY: Boxes are unique, and nobody but the list accesses the link.
    unsafe impl Node for KBox<Letter> {
        fn into_raw(self) -> NonNull<c_void> {
            // SAFETY: Boxes are not null.
            unsafe { NonNull::new_unchecked(KBox::into_raw(self).cast()) }
        }

        unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
            // SAFETY: Per the function's safety requirements.
            unsafe { KBox::from_raw(ptr.as_ptr().cast()) }
        }

        unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
            // SAFETY: Per the function's safety requirements.
            unsafe { &raw mut (*ptr.cast::<Letter>().as_ptr()).link }
        }
    }

    // SAFETY: The tests keep the tasks.
    unsafe impl Mail for KBox<Letter> {
        fn task(&self) -> NonNull<bindings::task_struct> {
            self.task
        }

        fn deliver(self, _task: &Task) {
            DELIVERED.add(1, Relaxed);
        }
    }

    fn new_boxes() -> Result<Arc<Mailboxes<KBox<Letter>>>> {
        Arc::pin_init(Mailboxes::new(), GFP_KERNEL)
    }

    fn letter(
        task: *mut bindings::task_struct,
        boxes: &Arc<Mailboxes<KBox<Letter>>>,
    ) -> Result<KBox<Letter>> {
        let letter = Letter {
            task: NonNull::new(task).ok_or(EINVAL)?,
            link: null_mut(),
            _boxes: boxes.clone(),
        };
        Ok(KBox::new(letter, GFP_KERNEL)?)
    }

    /// The error of what came back.
    fn refusal(ret: Result<(), (KBox<Letter>, Error)>) -> Option<Error> {
        ret.err().map(|(_, err)| err)
    }

    #[test]
    fn a_task_is_told_once() -> Result {
        let boxes = new_boxes()?;
        let task = current!().as_ptr();
        for _ in 0..3 {
            let letter = letter(task, &boxes)?;
            assert!(boxes.post(letter).is_ok());
        }
        let used = |contents: &SpinLockIrq<Contents<_>>| contents.lock().task == task;
        assert_eq!(boxes.boxes.iter().filter(|b| used(&b.contents)).count(), 1);
        // Kernel threads do what is left when they end, as this one does now.
        assert_eq!(DELIVERED.load(Relaxed), 0);
        let addressee: ARef<task::Task> = (&**current!()).into();
        ADDRESSEE.store(ARef::into_raw(addressee).as_ptr(), Relaxed);
        Ok(())
    }

    #[test]
    fn and_finds_everything() {
        // The task of the test before.
        let addressee = NonNull::new(ADDRESSEE.xchg(null_mut(), Relaxed));
        assert!(addressee.is_some());
        if let Some(addressee) = addressee {
            // SAFETY: The reference was given up for the pointer, which is taken once.
            let addressee = unsafe { ARef::<task::Task>::from_raw(addressee) };
            while DELIVERED.load(Relaxed) != 3 {
                kernel::time::delay::fsleep(kernel::time::Delta::from_millis(1));
            }
            // It takes no more.
            let ret = new_boxes().and_then(|boxes| {
                let letter = letter(addressee.as_ptr(), &boxes)?;
                Ok(refusal(boxes.post(letter)))
            });
            assert_eq!(ret, Ok(Some(ESRCH)));
        }
    }

    #[test]
    fn others_have_all_boxes() -> Result {
        let boxes = new_boxes()?;
        let task = current!().as_ptr();
        for mailbox in &boxes.boxes {
            // As if the letters for others could not be seen.
            mailbox.contents.lock().task = NonNull::dangling().as_ptr();
        }
        let letter = letter(task, &boxes)?;
        assert_eq!(refusal(boxes.post(letter)), Some(EBUSY));
        Ok(())
    }
}
