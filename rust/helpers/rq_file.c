// SPDX-License-Identifier: GPL-2.0
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "helpers.h"

static unsigned int bio_nr_bvecs(const struct bio *bio)
{
	struct bvec_iter iter;
	struct bio_vec bvec;
	unsigned int nr = 0;

	bio_for_each_bvec(bvec, bio, iter)
		nr++;
	return nr;
}

/* Copies the pieces of memory of a request with several bios. NULL: no memory. */
static struct bio_vec *copy_bvecs(struct request *rq, unsigned int *nr)
{
	struct req_iterator iter;
	struct bio_vec *bvecs;
	struct bio_vec bvec;
	unsigned int i = 0;

	*nr = blk_rq_nr_bvec(rq);
	bvecs = kmalloc_objs(*bvecs, *nr, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	if (!bvecs)
		return NULL;
	rq_for_each_bvec(bvec, rq, iter)
		bvecs[i++] = bvec;
	return bvecs;
}

/*
 * Describe the memory of a read or write from byte @done on, which must be less
 * than the request has. @bvecs is for the caller to free after the transfer. If
 * there is no memory for it, only what is left of one bio is described.
 */
void ext_rq_describe(struct request *rq, size_t done, struct bio_vec **bvecs,
		     struct iov_iter *iter)
{
	unsigned int dir = op_is_write(req_op(rq)) ? ITER_SOURCE : ITER_DEST;
	struct bio *bio = rq->bio;
	unsigned int nr;

	*bvecs = NULL;
	if (bio != rq->biotail) {
		*bvecs = copy_bvecs(rq, &nr);
		if (*bvecs) {
			iov_iter_bvec(iter, dir, *bvecs, nr, blk_rq_bytes(rq));
			if (done)
				iov_iter_advance(iter, done);
			return;
		}
		for (; done >= bio->bi_iter.bi_size; bio = bio->bi_next)
			done -= bio->bi_iter.bi_size;
	}
	/* The bio may be the rest of one that was split, and begin within a piece. */
	iov_iter_bvec(iter, dir,
		      __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter),
		      bio_nr_bvecs(bio), bio->bi_iter.bi_size);
	iter->iov_offset = mp_bvec_iter_offset(bio->bi_io_vec, bio->bi_iter) -
			   iter->bvec->bv_offset;
	if (done)
		iov_iter_advance(iter, done);
}

u16 ext_rq_ioprio(struct request *rq)
{
	return req_get_ioprio(rq);
}

/*
 * Returns the size of a regular file or block device, and in which units its
 * direct I/O is: of memory addresses, and of positions and lengths.
 */
int ext_file_dio(struct file *file, u64 *size, unsigned int *memory,
		 unsigned int *unit)
{
	struct block_device *bdev = file->f_mapping->host->i_sb->s_bdev;
	struct kstat stat;
	int err;

	err = vfs_getattr(&file->f_path, &stat, STATX_SIZE | STATX_DIOALIGN, 0);
	if (err)
		return err;
	*size = S_ISBLK(file_inode(file)->i_mode) ?
			i_size_read(file->f_mapping->host) : stat.size;
	if ((stat.result_mask & STATX_DIOALIGN) && stat.dio_mem_align &&
	    stat.dio_offset_align) {
		*memory = stat.dio_mem_align;
		*unit = stat.dio_offset_align;
	} else {
		/* fs/direct-io.c takes whole blocks only, in memory as well. */
		*unit = bdev ? bdev_logical_block_size(bdev) : SECTOR_SIZE;
		*memory = bdev ? max(bdev_dma_alignment(bdev) + 1, *unit) :
				 SECTOR_SIZE;
	}
	*memory = min_t(unsigned int, *memory, PAGE_SIZE);
	return 0;
}

/* Returns whether space can be freed, as far as is known before it is tried. */
bool ext_file_may_deallocate(const struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	if (S_ISBLK(inode->i_mode))
		return bdev_write_zeroes_sectors(I_BDEV(inode)) > 0;
	return file->f_op->fallocate;
}

/* Returns in which units the space of a file is freed, in bytes. */
unsigned int ext_file_granularity(const struct file *file)
{
	struct inode *inode = file->f_mapping->host;

	if (S_ISBLK(inode->i_mode))
		return bdev_discard_granularity(I_BDEV(inode));
	return i_blocksize(inode);
}

bool ext_file_is_block_device(const struct file *file)
{
	return S_ISBLK(file_inode(file)->i_mode);
}

/*
 * Copies the name of the disk that @file is, or is on. Empty: the file system does
 * not say. On an overlay, that is the one of the file that has the data. A file
 * system of several devices, such as btrfs, may close that which it has named and
 * name another one, but block devices and disks are freed after a grace period.
 */
void ext_file_disk_name(const struct file *file, char name[DISK_NAME_LEN])
{
	struct block_device *bdev;

	name[0] = '\0';
	rcu_read_lock();
	if (S_ISBLK(file_inode(file)->i_mode))
		bdev = I_BDEV(file->f_mapping->host);
	else
		bdev = READ_ONCE(d_real_inode(file->f_path.dentry)->i_sb->s_bdev);
	if (bdev)
		strscpy(name, bdev->bd_disk->disk_name, DISK_NAME_LEN);
	rcu_read_unlock();
}
