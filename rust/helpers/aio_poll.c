// SPDX-License-Identifier: GPL-2.0
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/wait.h>

#include "aio.h"

void ext_poll_init(struct ext_poll_entry *entry, wait_queue_func_t func)
{
	INIT_LIST_HEAD(&entry->wait.entry);
	init_waitqueue_func_entry(&entry->wait, func);
	entry->head = NULL;
}

struct ext_poll_table {
	struct poll_table_struct pt;
	struct ext_poll_entry *entry;
	unsigned int queues;
};

static void ext_poll_queue(struct file *file, struct wait_queue_head *head,
			   struct poll_table_struct *pt)
{
	struct ext_poll_table *table = container_of(pt, struct ext_poll_table, pt);

	if (table->queues++)
		return;
	/* Read without the lock of the queue, by ext_poll_remove(). */
	smp_store_release(&table->entry->head, head);
	add_wait_queue(head, &table->entry->wait);
}

/*
 * Add @entry to the wait queue of @file. Sets @queues to the number of wait
 * queues that the file has; the entry is in the first one. Returns those of
 * @events that there are.
 */
u32 ext_poll_add(struct file *file, struct ext_poll_entry *entry, u32 events,
		 unsigned int *queues)
{
	struct ext_poll_table table = {
		.pt._qproc = ext_poll_queue,
		.pt._key = (__force __poll_t)events,
		.entry = entry,
	};
	u32 mask = (__force u32)vfs_poll(file, &table.pt) & events;

	*queues = table.queues;
	return mask;
}

/* Returns those of @events that there are. */
u32 ext_poll_again(struct file *file, u32 events)
{
	struct poll_table_struct pt = { ._key = (__force __poll_t)events };

	return (__force u32)vfs_poll(file, &pt) & events;
}

/*
 * Returns whether @entry was in a queue. A queue that is freed before its file
 * stays for an RCU grace period after ext_poll_unqueue().
 */
bool ext_poll_remove(struct ext_poll_entry *entry)
{
	struct wait_queue_head *head;
	unsigned long flags;
	bool queued = false;

	rcu_read_lock();
	/* Pairs with the releases where it is set. */
	head = smp_load_acquire(&entry->head);
	if (head) {
		spin_lock_irqsave(&head->lock, flags);
		queued = !list_empty(&entry->wait.entry);
		list_del_init(&entry->wait.entry);
		spin_unlock_irqrestore(&head->lock, flags);
	}
	rcu_read_unlock();
	return queued;
}

/* Remove @entry from a queue whose lock is held, and which may be freed after that. */
void ext_poll_unqueue(struct ext_poll_entry *entry)
{
	list_del_init(&entry->wait.entry);
	/* Pairs with ext_poll_remove(). */
	smp_store_release(&entry->head, NULL);
}

/* Converts the events of a request. Errors are always waited for. */
u32 ext_poll_events(u16 events)
{
	return (__force u32)(demangle_poll(events) | EPOLLERR | EPOLLHUP);
}

u32 ext_mangle_poll(u32 mask)
{
	return mangle_poll((__force __poll_t)mask);
}
