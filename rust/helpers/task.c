// SPDX-License-Identifier: GPL-2.0
#include <linux/ioprio.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "helpers.h"

u16 ext_get_current_ioprio(void)
{
	return get_current_ioprio();
}

/*
 * Sleep until *@waiter, which the caller has set to itself, becomes NULL. The
 * sleep has a limit and is repeated, so that hung task detection does not
 * report a slow device.
 */
void ext_wait_for_io(struct task_struct **waiter)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		/* Pairs with the release in ext_wake_for_io(). */
		if (!smp_load_acquire(waiter))
			break;
		io_schedule_timeout(10 * HZ);
	}
	__set_current_state(TASK_RUNNING);
}

/*
 * Wake the sleeper. Once *@waiter is NULL, it may free the memory that @waiter
 * lies in, and may exit; RCU keeps its task_struct until it has been woken.
 */
void ext_wake_for_io(struct task_struct **waiter)
{
	struct task_struct *task;

	rcu_read_lock();
	task = READ_ONCE(*waiter);
	/* Pairs with the acquire in ext_wait_for_io(). */
	smp_store_release(waiter, NULL);
	wake_up_process(task);
	rcu_read_unlock();
}

unsigned int ext_memalloc_noio_save(void)
{
	return memalloc_noio_save();
}

void ext_memalloc_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

/*
 * Without tasks RCU, synchronize_rcu_tasks() is synchronize_rcu(), which does
 * not wait for a task that was preempted in the text of a module.
 */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "A preemptible kernel needs CONFIG_TASKS_RCU (select CONFIG_KPROBES)"
#endif

void ext_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

/* Copy the name of the current task, of TASK_COMM_LEN bytes. */
void ext_get_task_comm(char *comm)
{
	memcpy(comm, current->comm, TASK_COMM_LEN);
}

void ext_init_waitqueue_head(struct wait_queue_head *waiters)
{
	init_waitqueue_head(waiters);
}

void ext_wake_up(struct wait_queue_head *waiters)
{
	wake_up_all(waiters);
}

/* Make *@wanted at most @value. Returns whether *@counter is at least @value. */
static bool reached(const u64 *counter, u64 *wanted, u64 value)
{
	u64 old = READ_ONCE(*wanted);

	while (value < old)
		if (try_cmpxchg(wanted, &old, value))
			break;
	/* Either the task that counts sees @value, or its event is seen here. */
	smp_mb();
	return READ_ONCE(*counter) >= value;
}

/*
 * Sleep until *@counter is at least @value, for up to @limit ns or, if it is
 * KTIME_MAX, without a limit. With @seen, the sleep is interruptible, and ends
 * when *@kicks is another number. Returns ETIME if the limit was reached, and
 * ERESTARTSYS if there is a signal.
 *
 * The task is in the queue before *@wanted is changed: if it is changed back
 * after that, the task is woken.
 */
int ext_wait_until_reached(struct wait_queue_head *waiters, const u64 *counter,
			   u64 *wanted, u64 value, s64 limit, const u64 *kicks,
			   const u64 *seen)
{
	if (!seen)
		return wait_event_hrtimeout(*waiters,
			reached(counter, wanted, value), limit);
	if (limit == KTIME_MAX)
		return wait_event_interruptible(*waiters,
			reached(counter, wanted, value) || READ_ONCE(*kicks) != *seen);
	return wait_event_interruptible_hrtimeout(*waiters,
		reached(counter, wanted, value) || READ_ONCE(*kicks) != *seen,
		limit);
}
