// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/shmem_fs.h>
#include <linux/statfs.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uio.h>
#include <linux/wait_bit.h>

#include "helpers.h"

/* Create a file of @size bytes in memory. For tests. */
struct file *ext_memory_file(loff_t size)
{
	return shmem_file_setup("rnull_dio", size, EMPTY_VMA_FLAGS);
}

void ext_inode_dio_begin(struct inode *inode)
{
	inode_dio_begin(inode);
	/* Either the task that closes the gate sees the count, or we see the gate closed. */
	smp_mb__after_atomic();
}

/*
 * A task sets *@may_wait before it waits for the count of @inode. Requests do not
 * look up the wait queue while it is not set.
 */
void ext_inode_dio_end(struct inode *inode, const bool *may_wait)
{
	if (atomic_dec_and_test(&inode->i_dio_count) && READ_ONCE(*may_wait))
		wake_up_var(&inode->i_dio_count);
}

bool ext_inode_dio_finished(const struct inode *inode)
{
	return inode_dio_finished(inode);
}

/* Sleep until no direct I/O is in flight, but no longer than @msecs. */
bool ext_inode_dio_wait_timeout(struct inode *inode, unsigned int msecs)
{
	return wait_var_event_timeout(&inode->i_dio_count,
				      inode_dio_finished(inode),
				      msecs_to_jiffies(msecs));
}

void ext_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

bool ext_inode_trylock(struct inode *inode)
{
	return inode_trylock(inode);
}

void ext_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
}

void ext_inode_lock_shared(struct inode *inode)
{
	inode_lock_shared(inode);
}

bool ext_inode_trylock_shared(struct inode *inode)
{
	return inode_trylock_shared(inode);
}

void ext_inode_unlock_shared(struct inode *inode)
{
	inode_unlock_shared(inode);
}

void ext_sb_start_pagefault(struct super_block *sb)
{
	sb_start_pagefault(sb);
}

void ext_sb_end_pagefault(struct super_block *sb)
{
	sb_end_pagefault(sb);
}

void ext_filemap_invalidate_lock_shared(struct address_space *mapping)
{
	filemap_invalidate_lock_shared(mapping);
}

void ext_filemap_invalidate_unlock_shared(struct address_space *mapping)
{
	filemap_invalidate_unlock_shared(mapping);
}

void ext_mapping_set_large_folios(struct address_space *mapping)
{
	mapping_set_large_folios(mapping);
}

/* Returns whether @file is the root of a mount. */
bool ext_file_is_mount_root(const struct file *file)
{
	return file->f_path.dentry == file->f_path.mnt->mnt_root;
}

bool ext_file_is_readonly(const struct file *file)
{
	return __mnt_is_readonly(file->f_path.mnt);
}

/* Return the names of the type and of the instance of the file system of @file. */
void ext_sb_id(const struct file *file, const char **type, const char **id)
{
	const struct super_block *sb = file_inode(file)->i_sb;

	*type = sb->s_type->name;
	*id = sb->s_id;
}

/*
 * Updating time stamps needs no lock, but removing set-user-ID bits and file
 * capabilities does. Most inodes are known to have none (S_NOSEC).
 */
int ext_kiocb_modified(struct kiocb *iocb)
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

ssize_t ext_generic_write_sync(struct kiocb *iocb, ssize_t count)
{
	return generic_write_sync(iocb, count);
}

bool ext_iocb_is_dsync(const struct kiocb *iocb)
{
	return iocb_is_dsync(iocb);
}

/* Set the bio that @iocb is polled by; NULL before that bio is freed. */
void ext_iocb_set_polled_bio(struct kiocb *iocb, struct bio *bio)
{
	WRITE_ONCE(iocb->private, bio);
	/* Pairs with the read barrier in ext_iocb_poll_cookie(). */
	smp_wmb();
}

/*
 * Read the cookie of the bio that @iocb is polled by into *@cookie, which is not
 * changed if there is none.
 *
 * The block layer sets the cookie when it starts the request, which may be
 * long after the bio was submitted. Another poller may complete and free the
 * bio in the meantime, but its memory stays a bio of some size for an RCU
 * grace period (SLAB_TYPESAFE_BY_RCU). What was read is valid if the bio still
 * is that of @iocb afterwards.
 */
void ext_iocb_poll_cookie(struct kiocb *iocb, unsigned int *cookie)
{
	struct bio *bio;
	blk_qc_t found;
	bool polled;

	rcu_read_lock();
	bio = READ_ONCE(iocb->private);
	if (bio) {
		polled = READ_ONCE(bio->bi_opf) & REQ_POLLED;
		found = READ_ONCE(bio->bi_cookie);
		/* Pairs with the barrier in ext_iocb_set_polled_bio(). */
		smp_rmb();
		if (polled && READ_ONCE(iocb->private) == bio)
			*cookie = found;
	}
	rcu_read_unlock();
}

void ext_fsnotify_transfer(struct file *file, bool write)
{
	if (write)
		fsnotify_modify(file);
	else
		fsnotify_access(file);
}

bool ext_file_is_dsync(const struct file *file)
{
	return (file->f_flags & O_DSYNC) || IS_SYNC(file_inode(file));
}

/* Rate limited, because such collisions come in bursts. */
void ext_warn_stale_pages(const struct file *file)
{
	static DEFINE_RATELIMIT_STATE(limit, 60 * HZ, 3);

	if (__ratelimit(&limit))
		pr_crit("rnull_dio (%s): %pD: pages were dirtied while a direct write changed what is under them, one or the other may be lost\n",
			file_inode(file)->i_sb->s_id, file);
}

/*
 * Kernels with kiocb->dio_complete have a flag for it. There, the issuer of
 * @iocb may call a function that is set in the kiocb, in place of taking a
 * result.
 */
bool ext_iocb_defers(const struct kiocb *iocb)
{
#ifdef IOCB_DIO_DEFER
	return kiocb_may_defer(iocb);
#else
	return false;
#endif
}

/* @room is memory for a struct dio_completion: one pointer, to @complete. */
void ext_iocb_defer(struct kiocb *iocb, void **room,
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

/*
 * As kiocb_start_write(), but does not sleep if @iocb must not. Returns whether
 * the count was taken.
 */
bool ext_kiocb_start_write(struct kiocb *iocb)
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

void ext_kiocb_end_write(struct kiocb *iocb)
{
	kiocb_end_write(iocb);
}

/*
 * Take the write count again that ext_kiocb_end_write() has dropped.
 *
 * The count cannot be taken while a task freezes the file system. That may be
 * the issuer's own task, so this must not wait. In this case IOCB_WRITE is
 * cleared, so that io_uring does not drop the count again; for requests that
 * are not polled for, io_uring would then notify the watchers of a read, so
 * they are notified of the write here.
 */
void ext_kiocb_resume_write(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	if (sb_start_write_trylock(sb)) {
		/* As in kiocb_start_write(): another task may drop it. */
		__sb_writers_release(sb, SB_FREEZE_WRITE);
		return;
	}
	iocb->ki_flags &= ~IOCB_WRITE;
	if (!(iocb->ki_flags & IOCB_HIPRI))
		fsnotify_modify(iocb->ki_filp);
}

loff_t ext_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

void ext_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

/* struct kstatfs is opaque to the kernel's bindings. */
void ext_set_statfs(struct kstatfs *buf, unsigned long type,
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

void ext_task_io_account_write(size_t bytes)
{
	task_io_account_write(bytes);
}
