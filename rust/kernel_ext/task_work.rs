// SPDX-License-Identifier: GPL-2.0

//! Queues of work that tasks do before they return to user space.
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
    prelude::*,
    types::Opaque, //
};

use crate::{
    bindings,
    compat::{
        new_spinlock_irq,
        sync::SpinLockIrq, //
    },
    context::MaySleep,
    sync::llist::{
        LockLessList,
        Node, //
    },
};

/// The number of tasks that can have work in a queue at a time.
const SLOTS: usize = 32;
/// The number of slots that a task may use.
const PROBES: usize = 4;

/// An object that a certain task has to process.
///
/// # Safety
///
/// - The task of [`task`](Self::task) must exist as long as the object.
/// - The object must keep the [`TaskWorkQueue`] that it is passed to.
pub unsafe trait TaskWorkItem: Node {
    /// Returns the task, which is always the same, if there is one.
    fn task(&self) -> Option<NonNull<bindings::task_struct>>;

    /// Processes the object. Called in the task, which may be exiting.
    fn run(self, ctx: &MaySleep);
}

/// Queues items for tasks, and notifies each task once per batch through its task work.
#[pin_data]
pub struct TaskWorkQueue<N: TaskWorkItem> {
    #[pin]
    slots: [Slot<N>; SLOTS],
}

impl<N: TaskWorkItem> TaskWorkQueue<N> {
    /// Creates an empty queue.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            slots <- pin_init::pin_init_array_from_fn(|_| Slot::new()),
        })
    }

    /// Queues `item` for its task. Any context.
    ///
    /// The queue is not accessed once the item has been run, so the item may be the last thing that
    /// keeps it.
    ///
    /// # Errors
    ///
    /// Returns the item, which is then not run, with
    ///
    /// - `ESRCH`: there is no task, or it is exiting.
    /// - `EBUSY`: too many other tasks have items.
    ///
    /// # Safety
    ///
    /// The queue must stay valid as long as `item` exists.
    pub(crate) unsafe fn queue(&self, item: N) -> Result<(), (N, Error)> {
        let Some(task) = item.task() else {
            return Err((item, ESRCH));
        };
        // SAFETY: The task exists as long as the item. Other flags may change at any time, but this
        // one is set once and not cleared.
        let flags = unsafe { (&raw const (*task.as_ptr()).flags).read_volatile() };
        if flags & bindings::PF_EXITING != 0 {
            return Err((item, ESRCH));
        }
        let mut item = item;
        for number in probes(task) {
            // SAFETY: By the safety requirements of this function; the task is the item's.
            match unsafe { self.slots[number].add(task, item) } {
                Err((returned, EBUSY)) => item = returned,
                done => return done,
            }
        }
        Err((item, EBUSY))
    }
}

/// Returns the numbers of the slots that a task may use.
fn probes(task: NonNull<bindings::task_struct>) -> [usize; PROBES] {
    // Task structures are some cache lines apart.
    let first = task.as_ptr().addr() >> 6;
    array::from_fn(|i| (first ^ (first >> 6)).wrapping_add(i) % SLOTS)
}

/// The items of one task at a time.
///
/// # Invariants
///
/// `work` is pending, or its function has not taken the lock yet, if and only if there is a task in
/// `contents`, whose task work it is.
#[pin_data]
struct Slot<N: TaskWorkItem> {
    work: Opaque<bindings::callback_head>,
    #[pin]
    contents: SpinLockIrq<Contents<N>>,
}

struct Contents<N: TaskWorkItem> {
    /// Null if the slot is free.
    task: *mut bindings::task_struct,
    items: LockLessList<N>,
}

// The items are never pinned.
impl<N: TaskWorkItem> Unpin for Contents<N> {}

// SAFETY: The pointer is only compared, and the items are `Send`.
unsafe impl<N: TaskWorkItem> Send for Contents<N> {}

// SAFETY: The work is only accessed by the function that has put a task into the contents, and by
// the kernel.
unsafe impl<N: TaskWorkItem> Sync for Slot<N> {}

// SAFETY: A slot that is moved to another thread is free.
unsafe impl<N: TaskWorkItem> Send for Slot<N> {}

impl<N: TaskWorkItem> Slot<N> {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            work: Opaque::new(bindings::callback_head {
                next: null_mut(),
                func: Some(Self::run),
            }),
            contents <- new_spinlock_irq!(Contents {
                task: null_mut(),
                items: LockLessList::new(),
            }),
        })
    }

    /// Adds `item`, if the slot is free or has other items of `task`.
    ///
    /// # Safety
    ///
    /// The slot must stay valid as long as `item` exists, and `task` be the item's.
    unsafe fn add(&self, task: NonNull<bindings::task_struct>, item: N) -> Result<(), (N, Error)> {
        let task = task.as_ptr();
        // Two CPUs may end requests of one task, so there is a lock. Its cache line is shared by
        // them and by the task, which also pass on the requests themselves.
        let mut contents = self.contents.lock();
        if contents.task.is_null() {
            // SAFETY: The task exists as long as the item. By the type invariant the work is not in
            // use; its slot stays until it has been run, because the item that follows exists.
            let ret = to_result(unsafe {
                bindings::task_work_add(
                    task,
                    self.work.get(),
                    bindings::task_work_notify_mode_TWA_SIGNAL,
                )
            });
            if ret.is_err() {
                return Err((item, ESRCH));
            }
            // INVARIANT: The work is pending, and its function will wait for the lock.
            contents.task = task;
        } else if contents.task != task {
            return Err((item, EBUSY));
        }
        contents.items.push(item);
        Ok(())
    }

    /// # Safety
    ///
    /// For the kernel to call, with the work of a slot.
    unsafe extern "C" fn run(work: *mut bindings::callback_head) {
        let work = work.cast::<Opaque<bindings::callback_head>>();
        // SAFETY: The work is the field of a slot, which stays because there are items in it.
        let this = unsafe { &*container_of!(work, Self, work) };
        let items = {
            let mut contents = this.contents.lock();
            // INVARIANT: The work has been run.
            contents.task = null_mut();
            contents.items.take_all()
        };
        let ctx = MaySleep::new();
        for item in items {
            item.run(&ctx);
        }
    }
}

#[kunit_tests(rnull_dio_task_work)]
mod tests {
    use core::{
        ffi::{
            c_int,
            c_void, //
        },
        ptr::null, //
    };

    use kernel::{
        current,
        error::from_err_ptr,
        sync::{
            aref::ARef,
            atomic::{
                ordering::Relaxed,
                Atomic, //
            },
            Arc,
            Completion, //
        },
        task,
    };

    use super::*;

    /// A queue, and what a thread has observed of it.
    #[pin_data]
    struct Fixture {
        #[pin]
        queue: TaskWorkQueue<KBox<Item>>,
        /// How many items have been run.
        run: Atomic<u32>,
        /// How many slots were in use after the thread had queued its items, and how many of these
        /// had been run.
        slots: Atomic<usize>,
        run_early: Atomic<u32>,
        /// The thread, with a reference.
        thread: Atomic<*mut task::Task>,
        #[pin]
        queued: Completion,
    }

    struct Item {
        task: NonNull<bindings::task_struct>,
        link: *mut c_void,
        fixture: Arc<Fixture>,
    }

    // SAFETY: The pointer to the task is only used to queue the item.
    unsafe impl Send for Item {}

    // SAFETY: Boxes are unique, and only the list accesses the link.
    unsafe impl Node for KBox<Item> {
        fn into_raw(self) -> NonNull<c_void> {
            NonNull::from(KBox::leak(self)).cast()
        }

        unsafe fn from_raw(ptr: NonNull<c_void>) -> Self {
            // SAFETY: By the safety requirements of this function.
            unsafe { KBox::from_raw(ptr.as_ptr().cast()) }
        }

        unsafe fn link(ptr: NonNull<c_void>) -> *mut *mut c_void {
            // SAFETY: By the safety requirements of this function.
            unsafe { &raw mut (*ptr.cast::<Item>().as_ptr()).link }
        }
    }

    // SAFETY: The tests keep the tasks, and the item the queue.
    unsafe impl TaskWorkItem for KBox<Item> {
        fn task(&self) -> Option<NonNull<bindings::task_struct>> {
            Some(self.task)
        }

        fn run(self, _ctx: &MaySleep) {
            self.fixture.run.add(1, Relaxed);
        }
    }

    impl Fixture {
        fn new() -> Result<Arc<Self>> {
            Arc::pin_init(
                pin_init!(Self {
                    queue <- TaskWorkQueue::new(),
                    run: Atomic::new(0),
                    slots: Atomic::new(0),
                    run_early: Atomic::new(0),
                    thread: Atomic::new(null_mut()),
                    queued <- Completion::new(),
                }),
                GFP_KERNEL,
            )
        }

        /// Queues an item for `task`. Returns the error.
        fn queue(this: &Arc<Self>, task: *mut bindings::task_struct) -> Result {
            let item = KBox::new(
                Item {
                    task: NonNull::new(task).ok_or(EINVAL)?,
                    link: null_mut(),
                    fixture: this.clone(),
                },
                GFP_KERNEL,
            )?;
            // SAFETY: The item has a reference to the fixture, and so to the queue.
            unsafe { this.queue.queue(item) }.map_err(|(_, err)| err)
        }

        fn slots_of(&self, task: *mut bindings::task_struct) -> usize {
            let slots = self.queue.slots.iter();
            slots
                .filter(|slot| slot.contents.lock().task == task)
                .count()
        }
    }

    /// Queues three items for itself, which the kernel runs when the thread exits.
    ///
    /// # Safety
    ///
    /// `data` must come from `Arc::<Fixture>::into_raw`.
    unsafe extern "C" fn thread(data: *mut c_void) -> c_int {
        // SAFETY: By the safety requirements of this function.
        let fixture = unsafe { Arc::<Fixture>::from_raw(data.cast_const().cast()) };
        let task = current!().as_ptr();
        for _ in 0..3 {
            if Fixture::queue(&fixture, task).is_err() {
                break;
            }
        }
        fixture.slots.store(fixture.slots_of(task), Relaxed);
        fixture.run_early.store(fixture.run.load(Relaxed), Relaxed);
        let task: ARef<task::Task> = (&**current!()).into();
        fixture.thread.store(ARef::into_raw(task).as_ptr(), Relaxed);
        fixture.queued.complete_all();
        0
    }

    #[test]
    fn a_task_is_notified_once_for_all_items() -> Result {
        let fixture = Fixture::new()?;
        // SAFETY: The thread takes over the reference, and does not run before it is woken.
        unsafe {
            let data = Arc::into_raw(fixture.clone());
            let task = from_err_ptr(bindings::kthread_create_on_node(
                Some(thread),
                data.cast_mut().cast(),
                bindings::NUMA_NO_NODE,
                c"rnull_dio_kunit".as_char_ptr(),
                null::<c_void>(),
            ))?;
            bindings::wake_up_process(task);
        }
        fixture.queued.wait_for_completion();
        assert_eq!(fixture.slots.load(Relaxed), 1);
        assert_eq!(fixture.run_early.load(Relaxed), 0);
        while fixture.run.load(Relaxed) != 3 {
            kernel::time::delay::fsleep(kernel::time::Delta::from_millis(1));
        }
        let thread = NonNull::new(fixture.thread.load(Relaxed)).ok_or(EINVAL)?;
        // SAFETY: The thread has given the reference up for the pointer, which is used once.
        let thread = unsafe { ARef::<task::Task>::from_raw(thread) };
        // No items are queued for a task that is exiting.
        assert_eq!(Fixture::queue(&fixture, thread.as_ptr()), Err(ESRCH));
        Ok(())
    }

    #[test]
    fn a_task_gets_no_slot_that_another_task_uses() -> Result {
        let fixture = Fixture::new()?;
        for slot in &fixture.queue.slots {
            slot.contents.lock().task = NonNull::dangling().as_ptr();
        }
        assert_eq!(Fixture::queue(&fixture, current!().as_ptr()), Err(EBUSY));
        assert_eq!(fixture.run.load(Relaxed), 0);
        Ok(())
    }
}
