// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/pagemap.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/statfs.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uio.h>

#include "helpers.h"

void rnull_dio_inode_dio_begin(struct inode *inode)
{
	inode_dio_begin(inode);
	/* Who closes the gate sees the count, or the gate is seen closed. */
	smp_mb__after_atomic();
}

/*
 * Whoever waits for the count of @inode sets *@may_wait before looking at it, so
 * that most need not look for waiters.
 */
void rnull_dio_inode_dio_end(struct inode *inode, const bool *may_wait)
{
	if (atomic_dec_and_test(&inode->i_dio_count) && READ_ONCE(*may_wait))
		wake_up_var(&inode->i_dio_count);
}

void rnull_dio_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

bool rnull_dio_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

void rnull_dio_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void rnull_dio_inode_lock_shared(struct inode *inode)
{
	inode_lock_shared(inode);
}

void rnull_dio_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

void rnull_dio_sb_start_pagefault(struct super_block *sb)
{
	sb_start_pagefault(sb);
}

void rnull_dio_sb_end_pagefault(struct super_block *sb)
{
	sb_end_pagefault(sb);
}

void rnull_dio_filemap_invalidate_lock_shared(struct address_space *mapping)
{
	filemap_invalidate_lock_shared(mapping);
}

void rnull_dio_filemap_invalidate_unlock_shared(struct address_space *mapping)
{
	filemap_invalidate_unlock_shared(mapping);
}

void rnull_dio_mapping_set_large_folios(struct address_space *mapping)
{
	mapping_set_large_folios(mapping);
}

/*
 * Time stamps need no lock, but taking away set-user-ID bits and the like
 * wants the inode locked. Most inodes are known to have none (S_NOSEC).
 */
int rnull_dio_kiocb_modified(struct kiocb *iocb)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	int ret;

	if (IS_NOSEC(inode))
		return file_update_time(iocb->ki_filp);
	if (iocb->ki_flags & IOCB_NOWAIT) {
		if (!inode_trylock(inode))
			return -EAGAIN;
	} else {
		inode_lock(inode);
	}
	ret = kiocb_modified(iocb);
	inode_unlock(inode);
	return ret;
}

ssize_t rnull_dio_generic_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

bool rnull_dio_iocb_is_dsync(const struct kiocb *iocb)
{
	return iocb_is_dsync(iocb);
}

/*
 * Let @iocb tell which bio to poll for; NULL once that is about to be freed.
 */
void rnull_dio_iocb_set_polled_bio(struct kiocb *iocb, struct bio *bio)
{
	WRITE_ONCE(iocb->private, bio);
	/* Pairs with the read barrier in rnull_dio_iocb_poll_cookie(). */
	smp_wmb();
}

/*
 * The block layer sets the cookie when it starts the request, which may be
 * long after the bio was submitted. The bio may be completed and freed by
 * another poller meanwhile, and be anything else then, but its memory stays
 * bios of some size for an RCU grace period (SLAB_TYPESAFE_BY_RCU). What was
 * read is right if the bio is still that of @iocb afterwards.
 */
bool rnull_dio_iocb_poll_cookie(struct kiocb *iocb, unsigned int *cookie)
{
	struct bio *bio;
	bool polled = false;

	rcu_read_lock();
	bio = READ_ONCE(iocb->private);
	if (bio) {
		polled = READ_ONCE(bio->bi_opf) & REQ_POLLED;
		*cookie = READ_ONCE(bio->bi_cookie);
		/* Pairs with the barrier in rnull_dio_iocb_set_polled_bio(). */
		smp_rmb();
		if (READ_ONCE(iocb->private) != bio)
			polled = false;
	}
	rcu_read_unlock();
	return polled && *cookie != BLK_QC_T_NONE;
}

void rnull_dio_fsnotify_transfer(struct file *file, bool write)
{
	if (write)
		fsnotify_modify(file);
	else
		fsnotify_access(file);
}

bool rnull_dio_file_is_dsync(const struct file *file)
{
	return (file->f_flags & O_DSYNC) || IS_SYNC(file_inode(file));
}

/* Whoever has one such collision has many. */
void rnull_dio_warn_stale_pages(const struct file *file)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 3);

	if (__ratelimit(&limit))
		pr_crit("rnull_dio (%s): %pD: pages were dirtied while a direct write changed what is under them, one or the other may be lost\n",
			file_inode(file)->i_sb->s_id, file);
}

/*
 * Kernels with kiocb->dio_complete have a flag that tells of it.
 * There, the issuer of @iocb calls what is left in the kiocb, in place of taking
 * a result.
 */
bool rnull_dio_iocb_defers(const struct kiocb *iocb)
{
#ifdef IOCB_DIO_DEFER
	return kiocb_may_defer(iocb);
#else
	return false;
#endif
}

/* @room is for a struct dio_completion: one pointer, to @complete. */
void rnull_dio_iocb_defer(struct kiocb *iocb, void **room,
			  ssize_t (*complete)(struct dio_completion *dc))
{
#ifdef IOCB_DIO_DEFER
	struct dio_completion *dc = (struct dio_completion *)room;

	static_assert(sizeof(*dc) == sizeof(*room));
	dc->complete = complete;
	kiocb_defer(iocb, dc);
#else
	WARN_ON_ONCE(1);
#endif
}

/* As kiocb_start_write(), unless @iocb must not sleep; tells whether it did. */
bool rnull_dio_kiocb_start_write(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	if (!(iocb->ki_flags & IOCB_NOWAIT)) {
		kiocb_start_write(iocb);
		return true;
	}
	if (!sb_start_write_trylock(sb))
		return false;
	__sb_writers_release(sb, SB_FREEZE_WRITE);
	return true;
}

void rnull_dio_kiocb_end_write(struct kiocb *iocb)
{
	kiocb_end_write(iocb);
}

/*
 * Take again what rnull_dio_kiocb_end_write() has dropped. That may not be had
 * while somebody freezes the file system, which may be the issuer's own task,
 * so it must not be waited for; the issuer then takes the request for one that
 * has nothing to drop, and the watchers of the file are told from here.
 */
void rnull_dio_kiocb_resume_write(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	if (sb_start_write_trylock(sb)) {
		/* As in kiocb_start_write(): another task may drop it. */
		__sb_writers_release(sb, SB_FREEZE_WRITE);
		return;
	}
	iocb->ki_flags &= ~IOCB_WRITE;
	fsnotify_modify(iocb->ki_filp);
}

loff_t rnull_dio_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void rnull_dio_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

/* struct kstatfs is opaque to the kernel's bindings. */
void rnull_dio_set_statfs(struct kstatfs *buf, unsigned long type,
			  unsigned long block_size, u64 blocks, u64 files,
			  dev_t dev)
{
	buf->f_type = type;
	buf->f_bsize = block_size;
	buf->f_blocks = blocks;
	buf->f_files = files;
	buf->f_namelen = NAME_MAX;
	buf->f_fsid = u64_to_fsid(huge_encode_dev(dev));
}

void rnull_dio_task_io_account_write(size_t bytes)
{
	task_io_account_write(bytes);
}
