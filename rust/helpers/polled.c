// SPDX-License-Identifier: GPL-2.0
#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/math.h>
#include <linux/module.h>
#include <linux/percpu-refcount.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "helpers.h"

/*
 * How long transfers are in flight without being polled before they are polled here,
 * in jiffies.
 */
#define PATIENCE (HZ / 50 + 1)

/*
 * Returns whether a device has queues for polled I/O now. Devices that are driven by
 * ->submit_bio are polled by the bio, of which there must be one poller only, and are
 * not polled.
 */
static bool can_poll(struct request_queue *q)
{
	const struct blk_mq_queue_map *map;

	if (!queue_is_mq(q) || !(q->limits.features & BLK_FEAT_POLL))
		return false;
	map = &q->tag_set->map[HCTX_TYPE_POLL];
	/* There may be fewer than the map says, if no memory was left for them. */
	return map->nr_queues &&
	       map->queue_offset + map->nr_queues <= q->nr_hw_queues;
}

/*
 * Returns whether all data of a file system is on ->s_bdev. Others have file data on
 * devices that are not known here, such as the real-time device of XFS, which an empty
 * file may be moved to while it is open.
 */
static bool is_on_one_device(struct super_block *sb)
{
	struct seq_file options = { .size = PAGE_SIZE };
	bool is_alone;

	if (!strcmp(sb->s_type->name, "ext4"))
		return true;
	if (strcmp(sb->s_type->name, "xfs"))
		return false;
	options.buf = kzalloc(options.size + 1, GFP_KERNEL);
	if (!options.buf)
		return false;
	is_alone = !sb->s_op->show_options(&options, sb->s_root) &&
		   !seq_has_overflowed(&options) &&
		   !strstr(options.buf, ",rtdev=");
	kfree(options.buf);
	return is_alone;
}

/* Returns the device that is polled for a file, or NULL. It is there while that is open. */
static struct block_device *device_of(const struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	return S_ISBLK(inode->i_mode) ? I_BDEV(inode) : inode->i_sb->s_bdev;
}

/* With a reference of the queue below, which is given up if it cannot be polled. */
static bool has_entered(struct request_queue *q)
{
	if (can_poll(q))
		return true;
	percpu_ref_put(&q->q_usage_counter);
	return false;
}

/*
 * Get a reference of the queue below, which keeps its hardware queues from changing, and
 * its set of tags from being freed: a file system may stay mounted when its device is
 * gone. Returns false, without a reference, if it cannot be polled now.
 */
static bool enter_below(struct request_queue *q)
{
	/* Otherwise it is frozen with no request in flight, or gone. */
	return percpu_ref_tryget(&q->q_usage_counter) && has_entered(q);
}

static void exit_below(struct request_queue *q)
{
	percpu_ref_put(&q->q_usage_counter);
}

/* As enter_below(), but waits while the queue is frozen, which it is for a change of it. */
static bool enter_when_thawed(struct block_device *bdev)
{
	struct request_queue *q = bdev_get_queue(bdev);
	unsigned long *state = &bdev->bd_disk->state;

	while (!percpu_ref_tryget(&q->q_usage_counter)) {
		wait_event(q->mq_freeze_wq,
			   !READ_ONCE(q->mq_freeze_depth) ||
			   test_bit(GD_DEAD, state));
		if (test_bit(GD_DEAD, state))
			return false;
	}
	return has_entered(q);
}

/*
 * Returns whether to poll a device may sleep, as that of nvme-tcp does, which
 * iocb_bio_iopoll() does not allow. The ->queue_rq of this module's disks may, but not
 * their ->poll.
 */
static bool may_sleep_if_polled(struct block_device *bdev)
{
	return (bdev_get_queue(bdev)->tag_set->flags & BLK_MQ_F_BLOCKING) &&
	       bdev->bd_disk->fops->owner != THIS_MODULE;
}

/*
 * Returns whether transfers of the file can be polled by polling the device below. This
 * is so if the block layer's function would poll them, which finds the device by a bio.
 * Others do more than that, and may sleep. Sleeps.
 */
bool ext_file_can_poll(const struct file *file)
{
	struct block_device *bdev = device_of(file);
	struct inode *inode = file->f_mapping->host;
	bool can_poll;

	if (file->f_op->iopoll != iocb_bio_iopoll ||
	    !(file->f_mode & FMODE_NOWAIT) || !bdev)
		return false;
	if (!S_ISBLK(inode->i_mode) && !is_on_one_device(inode->i_sb))
		return false;
	if (!enter_when_thawed(bdev))
		return false;
	can_poll = !may_sleep_if_polled(bdev);
	exit_below(bdev_get_queue(bdev));
	return can_poll;
}

/*
 * Poll a hardware queue of @bdev once, of whose queue the caller has a reference. To
 * find the hardware queue, bio_poll() reads the two fields of a bio and nothing else, so
 * one that is not in flight will do. Returns how many completions there were; also 1 if
 * the task has a signal to handle.
 */
static int poll_hctx(struct block_device *bdev, unsigned int index,
		     struct io_comp_batch *iob)
{
	struct bio probe = { .bi_bdev = bdev, .bi_cookie = index };

	return bio_poll(&probe, iob, BLK_POLL_ONESHOT);
}

/* Poll each hardware queue once, as poll_hctx(). */
static int poll_all(struct block_device *bdev, struct io_comp_batch *iob)
{
	const struct blk_mq_queue_map *map =
		&bdev_get_queue(bdev)->tag_set->map[HCTX_TYPE_POLL];
	unsigned int i;
	int found = 0;

	for (i = 0; i < map->nr_queues; i++)
		found += poll_hctx(bdev, map->queue_offset + i, iob);
	return found;
}

/*
 * Poll the hardware queue that this CPU uses, and if that has nothing, one of the others,
 * each time another one, because transfers may have been issued by other CPUs.
 */
static int poll_some(struct ext_polled *polled, struct io_comp_batch *iob)
{
	struct block_device *bdev = polled->bdev;
	const struct blk_mq_queue_map *map =
		&bdev_get_queue(bdev)->tag_set->map[HCTX_TYPE_POLL];
	int found = poll_hctx(bdev, map->mq_map[raw_smp_processor_id()], iob);
	unsigned int next;

	if (found || map->nr_queues == 1)
		return found;
	next = READ_ONCE(polled->next);
	WRITE_ONCE(polled->next, next + 1);
	return poll_hctx(bdev, map->queue_offset + next % map->nr_queues, iob);
}

static void watch_for(struct ext_polled *polled, unsigned long delay)
{
	kblockd_mod_delayed_work_on(WORK_CPU_UNBOUND, &polled->watch, delay);
}

/*
 * The poller of last resort. That which should poll may be waiting for what only polling
 * ends: for a request or the freeze of the device below, or for transfers of the file.
 * Or it does not run. Queued again until there is nothing in flight.
 */
static void watch(struct work_struct *work)
{
	struct ext_polled *polled = container_of(to_delayed_work(work),
						 struct ext_polled, watch);
	struct request_queue *q = bdev_get_queue(polled->bdev);
	unsigned long delay = PATIENCE;

	if (!atomic_read(&polled->in_flight)) {
		WRITE_ONCE(polled->is_watched, false);
		/* Pairs with the increment in ext_polled_begin(). */
		smp_mb();
		if (!atomic_read(&polled->in_flight) ||
		    xchg(&polled->is_watched, true))
			return;
	} else if (time_after_eq(jiffies,
				 READ_ONCE(polled->polled_at) + PATIENCE)) {
		if (enter_below(q)) {
			/*
			 * A driver that has quiesced its queues may have freed what
			 * ->poll uses, as virtio_blk does while the system sleeps.
			 */
			if (!blk_queue_quiesced(q))
				poll_all(polled->bdev, NULL);
			exit_below(q);
		}
		delay = 1;
	}
	watch_for(polled, delay);
}

/* @file: to be polled, or NULL. */
void ext_polled_init(struct ext_polled *polled, const struct file *file)
{
	polled->bdev = file ? device_of(file) : NULL;
	/* Keeps the memory of the device and its queue, which may be gone. */
	if (polled->bdev)
		get_device(&polled->bdev->bd_device);
	atomic_set(&polled->in_flight, 0);
	polled->next = 0;
	polled->polled_at = jiffies;
	polled->is_watched = false;
	INIT_DELAYED_WORK(&polled->watch, watch);
}

/* Nothing is in flight. Sleeps. */
void ext_polled_exit(struct ext_polled *polled)
{
	cancel_delayed_work_sync(&polled->watch);
	if (polled->bdev)
		put_device(&polled->bdev->bd_device);
}

/*
 * Returns how many transfers of one of @nr_above hardware queues may be in flight: half of
 * the requests that these, and the devices with the same tags, can have at a time of a
 * hardware queue below.
 */
static unsigned int limit_below(struct request_queue *q, unsigned int nr_above)
{
	const struct blk_mq_queue_map *map = &q->tag_set->map[HCTX_TYPE_POLL];
	struct blk_mq_hw_ctx *hctx = queue_hctx(q, map->queue_offset);
	unsigned int sharers = DIV_ROUND_UP(nr_above, map->nr_queues);

	if (hctx->flags & BLK_MQ_F_TAG_QUEUE_SHARED)
		sharers *= max(READ_ONCE(hctx->tags->active_queues), 1U);
	return max(q->nr_requests / 2 / sharers, 1U);
}

/*
 * Returns whether the transfer of a request should be polled. Not if there are so many
 * that its issuer would wait for a request of the device below, instead of polling; nor if
 * that is being frozen, for the end of which the issuer would wait.
 */
bool ext_polled_has_room(struct ext_polled *polled, struct request *rq)
{
	unsigned int nr_above = rq->q->tag_set->map[HCTX_TYPE_POLL].nr_queues;
	struct request_queue *q;
	bool has_room;

	if (!polled->bdev)
		return false;
	q = bdev_get_queue(polled->bdev);
	if (!percpu_ref_tryget_live(&q->q_usage_counter))
		return false;
	has_room = can_poll(q) && atomic_read(&polled->in_flight) <
					  limit_below(q, nr_above);
	exit_below(q);
	return has_room;
}

/*
 * Note that transfers are polled now. Returns whether the time is another than before; it
 * is not written each time, because other CPUs read it.
 */
static bool note_time(struct ext_polled *polled)
{
	unsigned long now = jiffies;

	if (READ_ONCE(polled->polled_at) == now)
		return false;
	WRITE_ONCE(polled->polled_at, now);
	return true;
}

/* A transfer is about to be issued. */
void ext_polled_begin(struct ext_polled *polled)
{
	/* Nothing has been waiting to be polled. */
	if (atomic_inc_return(&polled->in_flight) == 1)
		note_time(polled);
	/* The increment is a full barrier, which pairs with that in watch(). */
	if (!READ_ONCE(polled->is_watched) && !xchg(&polled->is_watched, true))
		watch_for(polled, PATIENCE);
}

/* A transfer is over, of a request that has not ended. In any context. */
void ext_polled_end(struct ext_polled *polled)
{
	atomic_dec(&polled->in_flight);
}

/* Returns whether what ends here was found by a task that polls. */
bool ext_task_polls(void)
{
	return in_task() && !(current->flags & PF_KTHREAD);
}

/*
 * Poll the device below: all of its hardware queues once in a while, because watch() relies
 * on tasks that poll. That is so even if nothing is in flight here, because the request
 * that is polled for may be held back by a freeze, and the device below be frozen only when
 * other requests of the same poller have ended. Returns how many completions there were,
 * which may be of others, or a negative number if there is nothing in flight.
 */
int ext_polled_poll(struct ext_polled *polled, struct io_comp_batch *iob)
{
	struct request_queue *q;
	bool all;
	int found;

	if (!polled->bdev)
		return -1;
	all = note_time(polled);
	if (!all && !atomic_read(&polled->in_flight))
		return -1;
	q = bdev_get_queue(polled->bdev);
	if (!enter_below(q))
		return 0;
	if (all)
		found = poll_all(polled->bdev, iob);
	else
		found = poll_some(polled, iob);
	exit_below(q);
	return found;
}
