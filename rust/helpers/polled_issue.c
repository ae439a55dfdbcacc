// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-cgroup.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/srcu.h>

#include "aio.h"
#include "helpers.h"

/*
 * Open @file anew, such that reads and writes do not update time stamps, because that
 * may sleep: the time of the last access even if a read must not.
 */
struct file *ext_file_open_polled(const struct file *file)
{
	struct file *polled = dentry_open(&file->f_path,
					  file->f_flags | O_NOATIME,
					  file->f_cred);

	if (!IS_ERR(polled))
		polled->f_mode |= FMODE_NOCMTIME;
	return polled;
}

unsigned long ext_a_second_ago(void)
{
	return jiffies - HZ;
}

/* Returns whether a second is over since @since, which begins anew then. */
bool ext_second_is_over(unsigned long *since)
{
	unsigned long before = READ_ONCE(*since);

	return time_after_eq(jiffies, before + HZ) &&
	       try_cmpxchg(since, &before, jiffies);
}

/*
 * Update the times of the last modification and change. Returns whether that was
 * possible: the file system may be frozen.
 */
bool ext_file_update_time(struct file *file)
{
	struct super_block *sb = file_inode(file)->i_sb;

	if (!sb_start_write_trylock(sb))
		return false;
	file_update_time(file);
	sb_end_write(sb);
	return true;
}

/* Returns whether I/O of the current task is of the cgroup that a request is of. */
static bool is_of_this_cgroup(struct request *rq)
{
#ifdef CONFIG_BLK_CGROUP
	struct cgroup_subsys_state *css = bio_blkcg_css(rq->bio);
	bool same;

	rcu_read_lock();
	same = !css || css == task_css(current, io_cgrp_id);
	rcu_read_unlock();
	return same;
#else
	return true;
#endif
}

/*
 * Returns whether a plug has requests of other queues than @q, or may make bios for
 * them. These may have references of the queue below, which may be waited for until it
 * can be frozen: such a freeze would never end if the task slept for its end.
 */
static bool has_others(struct blk_plug *plug, struct request_queue *q)
{
	/* All of these are of one queue. */
	struct request *cached = rq_list_peek(&plug->cached_rqs);
	struct request *first = rq_list_peek(&plug->mq_list);

	if (cached && cached->q != q)
		return true;
	if (first && (plug->multiple_queues || first->q != q))
		return true;
	return !list_empty(&plug->cb_list);
}

/*
 * Returns whether ->queue_rq may have the current task issue a transfer of a file, up
 * to @end, without sleeping for the file's locks. Not if
 *
 * - ->queue_rq must not sleep at all;
 * - it is a thread of the kernel, which runs the queue for the tasks of many requests;
 * - it has a transaction, or reclaims memory;
 * - it holds unknown locks, because one bio too many for its plug was submitted;
 * - its plug has requests of the device below, or of others;
 * - much of its stack is in use, by file systems or by disks on top of this one;
 * - the limit of the size of its files is for it to notice, not for this one.
 */
bool ext_task_may_issue(struct request *rq, loff_t end)
{
	unsigned long room = (unsigned long)__builtin_frame_address(0) -
			     (unsigned long)end_of_stack(current);

	if (!(rq->mq_hctx->flags & BLK_MQ_F_BLOCKING) || !in_task())
		return false;
	/* PF_MEMALLOC_NOFS is what a transaction of XFS has. */
	if (current->flags & (PF_KTHREAD | PF_MEMALLOC | PF_MEMALLOC_NOFS))
		return false;
	if (current->journal_info || (current->bio_list && current->plug))
		return false;
	if (current->plug && has_others(current->plug, rq->q))
		return false;
	if (room < THREAD_SIZE / 2)
		return false;
	if (op_is_write(req_op(rq)) && rlimit(RLIMIT_FSIZE) < end)
		return false;
	return is_of_this_cgroup(rq);
}

/*
 * As ext_call_iter(), in ->queue_rq of the disk above. The bios are submitted at once:
 * the plug may be the one that is being flushed, and what is in the list would not be
 * submitted before this returns.
 *
 * For lockdep, this is outside of the critical section of dispatchers: the elevator_lock
 * of the disk, under which these are waited for, is in one class with that of the device
 * below, which is taken while that is frozen. No disk is below itself. The request has
 * not ended when this returns, because the caller is not done with the kiocb.
 */
ssize_t ext_call_iter_polled(struct request *rq, struct kiocb *iocb,
			     struct iov_iter *iter, bool write)
{
	struct bio_list *bio_list = current->bio_list;
	struct blk_plug *plug = current->plug;
	unsigned int flags = memalloc_noio_save();
	ssize_t ret;

	/* Otherwise the scheduler would look for the time in the plug. */
	blk_plug_invalidate_ts();
	current->bio_list = NULL;
	current->plug = NULL;
	srcu_lock_release(&rq->q->tag_set->srcu->dep_map);
	ret = ext_call_iter(iocb, iter, write);
	srcu_lock_acquire(&rq->q->tag_set->srcu->dep_map);
	current->plug = plug;
	current->bio_list = bio_list;
	memalloc_noio_restore(flags);
	return ret;
}
