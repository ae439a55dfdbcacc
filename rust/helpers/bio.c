// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "helpers.h"

/*
 * Let @bio carry the segments of a bvec iterator as they are. Nothing is
 * copied or pinned; the issuer keeps them until completion.
 */
void ext_bio_set_iter_bvec(struct bio *bio, const struct iov_iter *iter)
{
	bio->bi_io_vec = (struct bio_vec *)iter->bvec;
	/* The name of the last member, which becomes 0, has changed. */
	bio->bi_iter = (struct bvec_iter){
		.bi_sector = bio->bi_iter.bi_sector,
		.bi_size = iter->iov_offset + iov_iter_count(iter),
	};
	bvec_iter_advance_single(iter->bvec, &bio->bi_iter, iter->iov_offset);
	bio_set_flag(bio, BIO_CLONED);
}

/* Returns whether all segments that @bio transfers are aligned to @mask + 1. */
bool ext_bio_iter_bvec_aligned(const struct bio *bio, unsigned int mask)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	for_each_mp_bvec(bv, bio->bi_io_vec, iter, bio->bi_iter)
		if ((bv.bv_offset | bv.bv_len) & mask)
			return false;
	return true;
}

bool ext_bio_pages_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio)
		if (!folio_test_dirty(fi.folio))
			return false;
	return true;
}

void ext_bio_mark_pages_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio) {
		folio_lock(fi.folio);
		folio_mark_dirty(fi.folio);
		folio_unlock(fi.folio);
	}
}

/* Keep a bio with memory of another PCI device from being merged with others. */
void ext_bio_separate_peer_memory(struct bio *bio)
{
	if (is_pci_p2pdma_page(bio->bi_io_vec->bv_page))
		bio->bi_opf |= REQ_NOMERGE;
}

/* Add @len zero bytes, for which @bio must have room: a segment a page. */
void ext_bio_add_zeroes(struct bio *bio, unsigned int len)
{
	while (len) {
		unsigned int bytes = min(len, PAGE_SIZE);

		__bio_add_page(bio, ZERO_PAGE(0), bytes, 0);
		len -= bytes;
	}
}

/* Unpin @nr pages of one folio, beginning with @first. */
void ext_unpin_user_pages(struct page *first, unsigned long nr)
{
	unpin_user_folio(page_folio(first), nr);
}

bool ext_bdev_write_cache(struct block_device *bdev)
{
	return bdev_write_cache(bdev);
}

bool ext_bdev_fua(struct block_device *bdev)
{
	return bdev_fua(bdev);
}

bool ext_bdev_is_mq(struct block_device *bdev)
{
	return queue_is_mq(bdev_get_queue(bdev));
}

bool ext_bdev_nowait(struct block_device *bdev)
{
	return bdev_nowait(bdev);
}

/*
 * Keep the hardware queues of @bdev from changing, if there is one with the
 * number @index. Pairs with ext_bdev_exit_hctx().
 */
bool ext_bdev_enter_hctx(struct block_device *bdev, unsigned int index)
{
	struct request_queue *q = bdev_get_queue(bdev);

	if (!percpu_ref_tryget(&q->q_usage_counter))
		return false;
	if (queue_is_mq(q) && index < q->nr_hw_queues)
		return true;
	percpu_ref_put(&q->q_usage_counter);
	return false;
}

void ext_bdev_exit_hctx(struct block_device *bdev)
{
	percpu_ref_put(&bdev_get_queue(bdev)->q_usage_counter);
}

/*
 * Return the number of the first hardware queue for polled bios from @index on,
 * or BLK_QC_T_NONE.
 */
unsigned int ext_bdev_next_poll_hctx(struct block_device *bdev,
				     unsigned int index)
{
	struct request_queue *q = bdev_get_queue(bdev);
	unsigned int found = BLK_QC_T_NONE;
	struct blk_mq_hw_ctx *hctx;
	unsigned long i;

	if (!percpu_ref_tryget(&q->q_usage_counter))
		return BLK_QC_T_NONE;
	if (queue_is_mq(q)) {
		queue_for_each_hw_ctx(q, hctx, i) {
			if (i >= index && hctx->type == HCTX_TYPE_POLL) {
				found = i;
				break;
			}
		}
	}
	percpu_ref_put(&q->q_usage_counter);
	return found;
}

u64 ext_bdev_nr_bytes(struct block_device *bdev)
{
	return bdev_nr_bytes(bdev);
}

void ext_iov_iter_truncate(struct iov_iter *iter, u64 count)
{
	iov_iter_truncate(iter, count);
}

struct file *ext_get_file(struct file *file)
{
	return get_file(file);
}
