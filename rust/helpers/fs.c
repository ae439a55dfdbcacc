// SPDX-License-Identifier: GPL-2.0
#include <linux/fs.h>
#include <linux/statfs.h>
#include <linux/task_io_accounting_ops.h>
#include <linux/uio.h>

#include "helpers.h"

void rnull_dio_inode_dio_begin(struct inode *inode)
{
	inode_dio_begin(inode);
}

void rnull_dio_inode_dio_end(struct inode *inode)
{
	inode_dio_end(inode);
}

void rnull_dio_file_accessed(struct file *file)
{
	file_accessed(file);
}

void rnull_dio_i_size_write(struct inode *inode, loff_t size)
{
	i_size_write(inode, size);
}

bool rnull_dio_iov_iter_is_bvec(const struct iov_iter *iter)
{
	return iov_iter_is_bvec(iter);
}

bool rnull_dio_iov_iter_is_user(const struct iov_iter *iter)
{
	return user_backed_iter(iter);
}

void rnull_dio_iov_iter_truncate(struct iov_iter *iter, u64 count)
{
	iov_iter_truncate(iter, count);
}

void rnull_dio_iov_iter_reexpand(struct iov_iter *iter, size_t count)
{
	iov_iter_reexpand(iter, count);
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
