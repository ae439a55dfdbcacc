// SPDX-License-Identifier: GPL-2.0
#include <linux/ioprio.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched.h>
#include <linux/wait.h>

#include "helpers.h"

u16 rnull_dio_get_current_ioprio(void)
{
	return get_current_ioprio();
}

/*
 * Sleep until *@waiter, which the caller has set to itself, becomes NULL. The
 * sleep is cut into pieces so that a slow device is not taken for a hung task.
 */
void rnull_dio_wait_for_io(struct task_struct **waiter)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		/* Pairs with the release in rnull_dio_wake_for_io(). */
		if (!smp_load_acquire(waiter))
			break;
		io_schedule_timeout(10 * HZ);
	}
	__set_current_state(TASK_RUNNING);
}

/*
 * Let the sleeper go on. Once *@waiter is NULL it may free what @waiter lies
 * in and may even exit; RCU keeps its task_struct until it has been woken.
 */
void rnull_dio_wake_for_io(struct task_struct **waiter)
{
	struct task_struct *task;

	rcu_read_lock();
	task = READ_ONCE(*waiter);
	/* Pairs with the acquire in rnull_dio_wait_for_io(). */
	smp_store_release(waiter, NULL);
	wake_up_process(task);
	rcu_read_unlock();
}

unsigned int rnull_dio_memalloc_noio_save(void)
{
	return memalloc_noio_save();
}

void rnull_dio_memalloc_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

void rnull_dio_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}

void rnull_dio_init_waitqueue_head(struct wait_queue_head *waiters)
{
	init_waitqueue_head(waiters);
}

void rnull_dio_wake_up(struct wait_queue_head *waiters)
{
	wake_up(waiters);
}

/* Sleep until *@counter is at least @value, for up to @limit ns. */
void rnull_dio_wait_until_reached(struct wait_queue_head *waiters,
				  const u64 *counter, u64 value, u64 limit)
{
	wait_event_hrtimeout(*waiters, READ_ONCE(*counter) >= value,
			     ns_to_ktime(limit));
}
