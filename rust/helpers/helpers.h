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
#include <linux/highmem.h>
#include <linux/io_uring/cmd.h>
#include <linux/percpu.h>
#include <linux/wait.h>

struct dio_completion;

/* bio.c */
void rnull_dio_bio_set_iter_bvec(struct bio *bio, const struct iov_iter *iter);
bool rnull_dio_bio_iter_bvec_aligned(const struct bio *bio, unsigned int mask);
bool rnull_dio_bio_pages_dirty(struct bio *bio);
void rnull_dio_bio_mark_pages_dirty(struct bio *bio);
void rnull_dio_unpin_user_pages(struct page *first, unsigned long nr);
unsigned int rnull_dio_bdev_logical_block_size(struct block_device *bdev);
unsigned int rnull_dio_bdev_dma_alignment(struct block_device *bdev);
bool rnull_dio_bdev_write_cache(struct block_device *bdev);
bool rnull_dio_bdev_fua(struct block_device *bdev);
bool rnull_dio_bdev_is_mq(struct block_device *bdev);
bool rnull_dio_bdev_nowait(struct block_device *bdev);
bool rnull_dio_bdev_enter_hctx(struct block_device *bdev, unsigned int index);
void rnull_dio_bdev_exit_hctx(struct block_device *bdev);
u64 rnull_dio_bdev_nr_bytes(struct block_device *bdev);

/* debugfs.c */
struct dentry *rnull_dio_debugfs_create_dir(const char *name,
					    struct dentry *parent);
struct dentry *
rnull_dio_debugfs_create_file(const char *name, umode_t mode,
			      struct dentry *parent, void *data,
			      const struct file_operations *fops);
void rnull_dio_debugfs_remove(struct dentry *dentry);

/* fs.c */
void rnull_dio_inode_dio_begin(struct inode *inode);
void rnull_dio_inode_dio_end(struct inode *inode, const bool *may_wait);
void rnull_dio_inode_lock(struct inode *inode);
bool rnull_dio_inode_trylock(struct inode *inode);
void rnull_dio_inode_unlock(struct inode *inode);
void rnull_dio_inode_lock_shared(struct inode *inode);
void rnull_dio_inode_unlock_shared(struct inode *inode);
void rnull_dio_sb_start_pagefault(struct super_block *sb);
void rnull_dio_sb_end_pagefault(struct super_block *sb);
void rnull_dio_filemap_invalidate_lock_shared(struct address_space *mapping);
void rnull_dio_filemap_invalidate_unlock_shared(struct address_space *mapping);
void rnull_dio_mapping_set_large_folios(struct address_space *mapping);
int rnull_dio_kiocb_modified(struct kiocb *iocb);
ssize_t rnull_dio_generic_write_sync(struct kiocb *iocb, ssize_t count);
bool rnull_dio_iocb_is_dsync(const struct kiocb *iocb);
bool rnull_dio_iocb_poll_cookie(struct kiocb *iocb, unsigned int *cookie);
void rnull_dio_iocb_set_polled_bio(struct kiocb *iocb, struct bio *bio);
void rnull_dio_fsnotify_transfer(struct file *file, bool write);
bool rnull_dio_file_is_dsync(const struct file *file);
void rnull_dio_warn_stale_pages(const struct file *file);
bool rnull_dio_iocb_defers(const struct kiocb *iocb);
void rnull_dio_iocb_defer(struct kiocb *iocb, void **room,
			  ssize_t (*complete)(struct dio_completion *dc));
bool rnull_dio_kiocb_start_write(struct kiocb *iocb);
void rnull_dio_kiocb_end_write(struct kiocb *iocb);
void rnull_dio_kiocb_resume_write(struct kiocb *iocb);
loff_t rnull_dio_i_size_read(const struct inode *inode);
void rnull_dio_i_size_write(struct inode *inode, loff_t size);
void rnull_dio_set_statfs(struct kstatfs *buf, unsigned long type,
			  unsigned long block_size, u64 blocks, u64 files,
			  dev_t dev);
void rnull_dio_task_io_account_write(size_t bytes);

/* io_uring.c */
void rnull_dio_io_uring_cmd_read_sqe(const struct io_uring_cmd *cmd, u64 *addr,
				     u32 *len, u32 *file_index, u64 *payload);
struct io_uring_cmd *rnull_dio_io_uring_cmd_from_tw(struct io_tw_req tw_req);

/* mq.c */
bool rnull_dio_blk_mq_add_to_batch(struct request *req,
				   struct io_comp_batch *iob, bool is_error,
				   void (*complete)(struct io_comp_batch *));
bool rnull_dio_blk_should_fake_timeout(struct request_queue *q);

/* page.c */
void rnull_dio_memcpy_page(struct page *dst_page, size_t dst_off,
			   struct page *src_page, size_t src_off, size_t len);
void rnull_dio_memzero_page(struct page *page, size_t offset, size_t len);
void rnull_dio_free_page_rcu(struct page *page);
void rnull_dio_cond_resched(void);

/* task.c */
u16 rnull_dio_get_current_ioprio(void);
void rnull_dio_wait_for_io(struct task_struct **waiter);
void rnull_dio_wake_for_io(struct task_struct **waiter);
unsigned int rnull_dio_memalloc_noio_save(void);
void rnull_dio_memalloc_noio_restore(unsigned int flags);
void rnull_dio_synchronize_rcu_tasks(void);
void rnull_dio_init_waitqueue_head(struct wait_queue_head *waiters);
void rnull_dio_wake_up(struct wait_queue_head *waiters);
void rnull_dio_wait_until_reached(struct wait_queue_head *waiters,
				  const u64 *counter, u64 value, u64 limit);

/* percpu.c */
void rnull_dio_this_cpu_inc(u64 __percpu *counter);
void rnull_dio_this_cpu_dec(u64 __percpu *counter);
u64 rnull_dio_per_cpu_sum(const u64 __percpu *counter);

#endif /* RNULL_DIO_HELPERS_H */
