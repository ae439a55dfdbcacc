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
#include <linux/spinlock.h>

#include "aio.h"
#include "helpers.h"

/* Returns whether a device has queues for polled I/O now. */
static bool can_poll(struct request_queue *q)
{
	if (!(q->limits.features & BLK_FEAT_POLL))
		return false;
	return !queue_is_mq(q) || q->tag_set->map[HCTX_TYPE_POLL].nr_queues;
}

/*
 * Returns whether transfers of the file can be polled by its ->iopoll: at any time,
 * in a read-side critical section of RCU. This is true of the block layer's function,
 * which looks at a kiocb's ->private only. Others may sleep.
 */
bool ext_file_can_poll(const struct file *file)
{
	struct inode *inode = file->f_mapping->host;
	struct block_device *bdev = S_ISBLK(inode->i_mode) ?
					    I_BDEV(inode) :
					    inode->i_sb->s_bdev;

	return file->f_op->iopoll == iocb_bio_iopoll &&
	       (file->f_mode & FMODE_NOWAIT) && bdev &&
	       can_poll(bdev_get_queue(bdev));
}

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
 * Returns whether ->queue_rq may have the current task issue a transfer of a file, up
 * to @end, without sleeping for the file's locks. Not if
 *
 * - ->queue_rq must not sleep at all;
 * - it is a thread of the kernel, which runs the queue for the tasks of many requests;
 * - it has a transaction, or reclaims memory;
 * - it holds unknown locks, because one bio too many for its plug was submitted;
 * - much of its stack is in use, by file systems or by disks on top of this one;
 * - the limit of the size of its files is for it to notice, not for this one.
 */
bool ext_task_may_issue(struct request *rq, loff_t end)
{
	unsigned long room = (unsigned long)__builtin_frame_address(0) -
			     (unsigned long)end_of_stack(current);

	if (!(rq->mq_hctx->flags & BLK_MQ_F_BLOCKING) || !in_task())
		return false;
	if (current->flags & (PF_KTHREAD | PF_MEMALLOC))
		return false;
	if (current->journal_info || (current->bio_list && current->plug))
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
 */
ssize_t ext_call_iter_polled(struct kiocb *iocb, struct iov_iter *iter,
			     bool write)
{
	struct bio_list *bio_list = current->bio_list;
	struct blk_plug *plug = current->plug;
	unsigned int flags = memalloc_noio_save();
	ssize_t ret;

	/* Otherwise the scheduler would look for the time in the plug. */
	blk_plug_invalidate_ts();
	current->bio_list = NULL;
	current->plug = NULL;
	ret = ext_call_iter(iocb, iter, write);
	current->plug = plug;
	current->bio_list = bio_list;
	memalloc_noio_restore(flags);
	return ret;
}

void ext_polled_init(struct ext_polled *polled)
{
	spin_lock_init(&polled->lock);
	INIT_LIST_HEAD(&polled->transfers);
}

/* Prepare a transfer that has not been issued. @polled: to be polled there; or NULL. */
void ext_polled_begin(struct ext_rq_file *transfer, struct ext_polled *polled)
{
	INIT_LIST_HEAD(&transfer->list);
	transfer->polled = polled;
	transfer->is_over = false;
	transfer->was_listed = false;
	/* A poller may still look at it because of the transfer before. */
	WRITE_ONCE(transfer->iocb.private, NULL);
}

/*
 * Have a transfer polled that has been issued, unless it is over, or cannot be polled.
 * IOCB_HIPRI does not say that: iomap clears it in any case.
 *
 * As long as it is in the list, ->private is NULL or a bio that the file has not freed,
 * which is what iocb_bio_iopoll() relies on. The file of a block device sets it after the
 * bio has been submitted, so that it may have been freed before. (With several bios,
 * iomap keeps the first one there until all have ended; pollers by io_uring rely on that
 * bio's memory, too.)
 */
void ext_polled_add(struct ext_rq_file *transfer)
{
	struct ext_polled *polled = transfer->polled;
	unsigned long flags;

	spin_lock_irqsave(&polled->lock, flags);
	if (transfer->is_over) {
		WRITE_ONCE(transfer->iocb.private, NULL);
	} else if (READ_ONCE(transfer->iocb.private)) {
		list_add_tail(&transfer->list, &polled->transfers);
		transfer->was_listed = true;
	}
	spin_unlock_irqrestore(&polled->lock, flags);
}

/* A transfer is over; its bio is freed later. In any context. */
void ext_polled_over(struct ext_rq_file *transfer)
{
	struct ext_polled *polled = transfer->polled;
	unsigned long flags;

	spin_lock_irqsave(&polled->lock, flags);
	list_del_init(&transfer->list);
	transfer->is_over = true;
	WRITE_ONCE(transfer->iocb.private, NULL);
	spin_unlock_irqrestore(&polled->lock, flags);
}

/*
 * Poll one transfer, each time another one. Returns how many completions there were,
 * which may be of others, or a negative number if there is nothing to poll.
 *
 * The transfer may be over when it is polled, or its memory be in use by the next one.
 * In both cases, what ->private was, is, or becomes in the meantime, has been a bio
 * since this critical section began.
 */
int ext_polled_poll(struct ext_polled *polled, struct io_comp_batch *iob)
{
	struct ext_rq_file *transfer;
	unsigned long flags;
	int ret = -1;

	if (list_empty(&polled->transfers))
		return ret;
	rcu_read_lock();
	spin_lock_irqsave(&polled->lock, flags);
	transfer = list_first_entry_or_null(&polled->transfers,
					    struct ext_rq_file, list);
	if (transfer)
		list_rotate_left(&polled->transfers);
	spin_unlock_irqrestore(&polled->lock, flags);
	if (transfer)
		ret = max(iocb_bio_iopoll(&transfer->iocb, iob,
					  BLK_POLL_ONESHOT), 0);
	rcu_read_unlock();
	return ret;
}
