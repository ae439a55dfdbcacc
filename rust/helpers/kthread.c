// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "helpers.h"

/*
 * Have a thread of its own call @func whenever @thread has been queued. It is
 * frozen when the system hibernates, so that files do not change any more once
 * memory has been saved.
 */
int ext_io_thread_start(struct ext_io_thread *thread,
			void (*func)(struct kthread_work *work),
			const char *name)
{
	thread->blkcg = NULL;
	thread->memcg = NULL;
	thread->worker = kthread_run_worker(KTW_FREEZABLE, "%s", name);
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

#ifdef CONFIG_BLK_CGROUP
/* Have memory be charged to the cgroup with the controller @blkcg of I/O. */
static void charge_to(struct ext_io_thread *thread,
		      struct cgroup_subsys_state *blkcg)
{
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *memcg = NULL;

	if (blkcg && blkcg != blkcg_root_css)
		memcg = cgroup_get_e_css(blkcg->cgroup, &memory_cgrp_subsys);
	set_active_memcg(mem_cgroup_from_css(memcg));
	if (thread->memcg)
		css_put(thread->memcg);
	thread->memcg = memcg;
#endif
}
#endif

/*
 * Charge this thread's I/O, and the page cache that it allocates, to the cgroup of
 * @rq; with NULL, to its own. Called by the thread.
 */
void ext_io_thread_adopt(struct ext_io_thread *thread, struct request *rq)
{
#ifdef CONFIG_BLK_CGROUP
	struct cgroup_subsys_state *blkcg =
		rq && rq->bio ? bio_blkcg_css(rq->bio) : NULL;

	/* The thread has a reference, so that this is no other one at its address. */
	if (blkcg == thread->blkcg)
		return;
	kthread_associate_blkcg(blkcg);
	charge_to(thread, blkcg);
	thread->blkcg = blkcg;
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
