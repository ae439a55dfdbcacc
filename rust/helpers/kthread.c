// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "helpers.h"

/* Have a thread of its own call @func whenever @thread has been queued. */
int ext_io_thread_start(struct ext_io_thread *thread,
			void (*func)(struct kthread_work *work),
			const char *name)
{
	thread->worker = kthread_run_worker(0, "%s", name);
	if (IS_ERR(thread->worker))
		return PTR_ERR(thread->worker);
	kthread_init_work(&thread->work, func);
	return 0;
}

/*
 * For the thread. What it does is I/O of a block device: memory is not reclaimed
 * by I/O, which might be for this thread to do, and it is not throttled because
 * of the dirty pages of other devices, which might be there for this thread to
 * clean.
 */
void ext_io_thread_begin(void)
{
	current->flags |= PF_LOCAL_THROTTLE | PF_MEMALLOC_NOIO;
}

/*
 * Let other tasks run. The thread is in no trampoline of ftrace here, so those
 * that wait for all tasks need not wait for it, however long it has work.
 */
void ext_io_thread_resched(void)
{
	cond_resched_tasks_rcu_qs();
}

/*
 * Have the I/O of this thread be that of the cgroup which the request is of;
 * with NULL, of the thread's own again.
 */
void ext_io_thread_adopt(struct request *rq)
{
#ifdef CONFIG_BLK_CGROUP
	kthread_associate_blkcg(rq && rq->bio ? bio_blkcg_css(rq->bio) : NULL);
#endif
}

void ext_io_thread_queue(struct ext_io_thread *thread)
{
	kthread_queue_work(thread->worker, &thread->work);
}

/* Sleeps until the work is done, and the thread has ended. */
void ext_io_thread_stop(struct ext_io_thread *thread)
{
	kthread_destroy_worker(thread->worker);
}
