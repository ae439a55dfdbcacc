/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C shims for inline functions and macros that Rust cannot call. Each is named
 * after what it wraps; their contracts are those of the C originals.
 */
#ifndef RNULL_DIO_HELPERS_H
#define RNULL_DIO_HELPERS_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/completion.h>
#include <linux/highmem.h>
#include <linux/io_uring/cmd.h>
#include <linux/kthread.h>
#include <linux/percpu-refcount.h>
#include <linux/percpu.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct config_group;
struct dio_completion;
struct fault_config;
struct iomap_iter;
struct iomap_ops;

/* bio.c */
void ext_bio_set_iter_bvec(struct bio *bio, const struct iov_iter *iter);
bool ext_bio_iter_bvec_aligned(const struct bio *bio, unsigned int mask);
bool ext_bio_pages_dirty(struct bio *bio);
void ext_bio_mark_pages_dirty(struct bio *bio);
void ext_bio_separate_peer_memory(struct bio *bio);
void ext_bio_add_zeroes(struct bio *bio, unsigned int len);
void ext_unpin_user_pages(struct page *first, unsigned long nr);
bool ext_bdev_write_cache(struct block_device *bdev);
bool ext_bdev_fua(struct block_device *bdev);
bool ext_bdev_is_mq(struct block_device *bdev);
bool ext_bdev_nowait(struct block_device *bdev);
bool ext_bdev_enter_hctx(struct block_device *bdev, unsigned int index);
void ext_bdev_exit_hctx(struct block_device *bdev);
unsigned int ext_bdev_next_poll_hctx(struct block_device *bdev,
				     unsigned int index);
u64 ext_bdev_nr_bytes(struct block_device *bdev);
struct file *ext_get_file(struct file *file);
void ext_iov_iter_truncate(struct iov_iter *iter, u64 count);

/* debugfs.c */
struct dentry *ext_debugfs_create_dir(const char *name,
				      struct dentry *parent);
struct dentry *
ext_debugfs_create_file(const char *name, umode_t mode,
			struct dentry *parent, void *data,
			const struct file_operations *fops);
void ext_debugfs_remove(struct dentry *dentry);

/* fault_inject.c, with CONFIG_FAULT_INJECTION_CONFIGFS only */
void ext_fault_config_init(struct fault_config *config, const char *name);
void ext_configfs_add_default_group(struct config_group *new_group,
				    struct config_group *group);

/* fs.c */
struct file *ext_memory_file(loff_t size);
void ext_inode_dio_begin(struct inode *inode);
void ext_inode_dio_end(struct inode *inode, const bool *may_wait);
bool ext_inode_dio_finished(const struct inode *inode);
bool ext_inode_dio_wait_timeout(struct inode *inode, unsigned int msecs);
void ext_inode_lock(struct inode *inode);
bool ext_inode_trylock(struct inode *inode);
void ext_inode_unlock(struct inode *inode);
void ext_inode_lock_shared(struct inode *inode);
bool ext_inode_trylock_shared(struct inode *inode);
void ext_inode_unlock_shared(struct inode *inode);
void ext_sb_start_pagefault(struct super_block *sb);
void ext_sb_end_pagefault(struct super_block *sb);
void ext_filemap_invalidate_lock_shared(struct address_space *mapping);
void ext_filemap_invalidate_unlock_shared(struct address_space *mapping);
void ext_mapping_set_large_folios(struct address_space *mapping);
bool ext_file_is_mount_root(const struct file *file);
bool ext_file_is_readonly(const struct file *file);
void ext_sb_id(const struct file *file, const char **type, const char **id);
int ext_kiocb_modified(struct kiocb *iocb);
ssize_t ext_generic_write_sync(struct kiocb *iocb, ssize_t count);
bool ext_iocb_is_dsync(const struct kiocb *iocb);
void ext_iocb_poll_cookie(struct kiocb *iocb, unsigned int *cookie);
void ext_iocb_set_polled_bio(struct kiocb *iocb, struct bio *bio);
void ext_fsnotify_transfer(struct file *file, bool write);
bool ext_file_is_dsync(const struct file *file);
void ext_warn_stale_pages(const struct file *file);
bool ext_iocb_defers(const struct kiocb *iocb);
void ext_iocb_defer(struct kiocb *iocb, void **room,
		    ssize_t (*complete)(struct dio_completion *dc));
bool ext_kiocb_start_write(struct kiocb *iocb);
void ext_kiocb_end_write(struct kiocb *iocb);
void ext_kiocb_resume_write(struct kiocb *iocb);
loff_t ext_i_size_read(const struct inode *inode);
void ext_i_size_write(struct inode *inode, loff_t size);
void ext_set_statfs(struct kstatfs *buf, unsigned long type,
		    unsigned long block_size, u64 blocks, u64 files,
		    dev_t dev);
void ext_task_io_account_write(size_t bytes);

/* io_uring.c */
void ext_io_uring_cmd_read_sqe(const struct io_uring_cmd *cmd, u64 *addr,
			       u32 *len, u32 *file_index, u64 *payload);
struct io_uring_cmd *ext_io_uring_cmd_from_tw(struct io_tw_req tw_req);

/* iomap.c */
int ext_iomap_iter(struct iomap_iter *iter, const struct iomap_ops *ops);
void ext_fserror_report_dio(struct inode *inode, bool write, loff_t pos,
			    u64 len, int error);

/* kthread.c */

/* A thread, and what it is queued to do. */
struct ext_io_thread {
	struct kthread_worker *worker;
	struct kthread_work work;
	/* The cgroup that I/O and memory are charged to; NULL: the thread's own. */
	struct cgroup_subsys_state *blkcg;
	struct cgroup_subsys_state *memcg;
};

int ext_io_thread_start(struct ext_io_thread *thread,
			void (*func)(struct kthread_work *work),
			const char *name);
void ext_io_thread_begin(void);
void ext_io_thread_resched(void);
void ext_io_thread_adopt(struct ext_io_thread *thread, struct request *rq);
void ext_io_thread_queue(struct ext_io_thread *thread);
void ext_io_thread_stop(struct ext_io_thread *thread);

/* mq.c */
bool ext_blk_mq_add_to_batch(struct request *req,
			     struct io_comp_batch *iob, bool is_error,
			     void (*complete)(struct io_comp_batch *));
bool ext_blk_should_fake_timeout(struct request_queue *q);
void ext_rq_disable_command(struct request *rq);
void ext_rq_end_not_supported(struct request *rq);

/* noio.c */
int ext_file_begin_noio(struct file *file);
void ext_file_end_noio(struct file *file);

/* numa.c */
bool ext_node_online(unsigned int node);
unsigned int ext_num_online_nodes(void);

/* page.c */
void ext_memcpy_page(struct page *dst_page, size_t dst_off,
		     struct page *src_page, size_t src_off, size_t len);
void ext_memzero_page(struct page *page, size_t offset, size_t len);
void ext_free_page_rcu(struct page *page);
void ext_cond_resched(void);

/* polled.c */

/* Transfers that are polled, of a hardware queue. */
struct ext_polled {
	/* The device below; NULL: none is polled. */
	struct block_device *bdev;
	atomic_t in_flight;
	/* Which hardware queue below is polled next, beside that of the CPU. */
	unsigned int next;
	/* When a task has polled all of them last. */
	unsigned long polled_at;
	/* Whether the work is queued, or going to be. */
	bool is_watched;
	struct delayed_work watch;
};

bool ext_file_can_poll(const struct file *file);
void ext_polled_init(struct ext_polled *polled, const struct file *file);
void ext_polled_exit(struct ext_polled *polled);
bool ext_polled_has_room(struct ext_polled *polled, struct request *rq);
void ext_polled_begin(struct ext_polled *polled);
void ext_polled_end(struct ext_polled *polled);
bool ext_task_polls(void);
int ext_polled_poll(struct ext_polled *polled, struct io_comp_batch *iob);

/* polled_issue.c */
struct file *ext_file_open_polled(const struct file *file);
unsigned long ext_a_second_ago(void);
bool ext_second_is_over(unsigned long *since);
bool ext_file_update_time(struct file *file);
bool ext_task_may_issue(struct request *rq, loff_t end);
ssize_t ext_call_iter_polled(struct request *rq, struct kiocb *iocb,
			     struct iov_iter *iter, bool write);

/* rq_file.c */

/* What a request needs to be a read or write of a file. */
struct ext_rq_file {
	struct kiocb iocb;
	struct bio_vec *bvecs;
	/* Where it is polled; NULL: nowhere. */
	struct ext_polled *polled;
	/* Whether a task has found the end by polling. */
	bool was_polled;
};

void ext_rq_describe(struct request *rq, size_t done, struct bio_vec **bvecs,
		     struct iov_iter *iter);
u16 ext_rq_ioprio(struct request *rq);
int ext_file_dio(struct file *file, u64 *size, unsigned int *memory,
		 unsigned int *unit);
bool ext_file_may_deallocate(const struct file *file);
unsigned int ext_file_granularity(const struct file *file);
bool ext_file_is_block_device(const struct file *file);
void ext_file_disk_name(const struct file *file, char name[DISK_NAME_LEN]);

/* task.c */
u16 ext_get_current_ioprio(void);
void ext_wait_for_io(struct task_struct **waiter);
void ext_wake_for_io(struct task_struct **waiter);
unsigned int ext_memalloc_noio_save(void);
void ext_memalloc_noio_restore(unsigned int flags);
void ext_synchronize_rcu_tasks(void);
void ext_get_task_comm(char *comm);
void ext_init_waitqueue_head(struct wait_queue_head *waiters);
void ext_wake_up(struct wait_queue_head *waiters);
int ext_wait_until_reached(struct wait_queue_head *waiters, const u64 *counter,
			   u64 *wanted, u64 value, s64 limit, const u64 *kicks,
			   const u64 *seen);

/* percpu.c */
void ext_this_cpu_inc(u64 __percpu *counter);
void ext_this_cpu_dec(u64 __percpu *counter);
u32 ext_this_cpu_read(u32 __percpu *number);
u32 ext_this_cpu_cmpxchg(u32 __percpu *number, u32 old, u32 new);
u32 ext_this_cpu_add_return(u32 __percpu *number, u32 added);
unsigned int ext_num_possible_cpus(void);
u64 ext_per_cpu_sum(const u64 __percpu *counter);

/* percpu_ref.c */

/* A count of users that is cheap while users are let in. */
struct ext_users {
	struct percpu_ref ref;
	struct completion gone;
};

int ext_users_init(struct ext_users *users);
bool ext_users_tryget(struct ext_users *users);
void ext_users_put(struct ext_users *users);
void ext_users_kill(struct ext_users *users);
void ext_users_wait(struct ext_users *users);
void ext_users_exit(struct ext_users *users);

#endif /* RNULL_DIO_HELPERS_H */
