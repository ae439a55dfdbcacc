// SPDX-License-Identifier: GPL-2.0
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/pagemap.h>
#include <linux/uio.h>

#include "helpers.h"

/*
 * Let @bio carry the segments of a bvec iterator as they are: nothing is
 * copied or pinned, whoever made the iterator keeps them until completion.
 */
void rnull_dio_bio_set_iter_bvec(struct bio *bio, const struct iov_iter *iter)
{
	bio->bi_io_vec = (struct bio_vec *)iter->bvec;
	bio->bi_iter.bi_idx = 0;
	bio->bi_iter.bi_offset = iter->iov_offset;
	bio->bi_iter.bi_size = iov_iter_count(iter);
	bio_set_flag(bio, BIO_CLONED);
}

/* Are all segments that @bio is going to transfer aligned to @mask + 1? */
bool rnull_dio_bio_iter_bvec_aligned(const struct bio *bio, unsigned int mask)
{
	struct bvec_iter iter;
	struct bio_vec bv;

	for_each_mp_bvec(bv, bio->bi_io_vec, iter, bio->bi_iter)
		if ((bv.bv_offset | bv.bv_len) & mask)
			return false;
	return true;
}

bool rnull_dio_bio_pages_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio)
		if (!folio_test_dirty(fi.folio))
			return false;
	return true;
}

void rnull_dio_bio_mark_pages_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio) {
		folio_lock(fi.folio);
		folio_mark_dirty(fi.folio);
		folio_unlock(fi.folio);
	}
}

/* Unpin @nr pages of one folio, beginning with @first. */
void rnull_dio_unpin_user_pages(struct page *first, unsigned long nr)
{
	unpin_user_folio(page_folio(first), nr);
}

unsigned int rnull_dio_bdev_logical_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

unsigned int rnull_dio_bdev_dma_alignment(struct block_device *bdev)
{
	return bdev_dma_alignment(bdev);
}

bool rnull_dio_bdev_write_cache(struct block_device *bdev)
{
	return bdev_write_cache(bdev);
}

bool rnull_dio_bdev_fua(struct block_device *bdev)
{
	return bdev_fua(bdev);
}

bool rnull_dio_bdev_is_mq(struct block_device *bdev)
{
	return queue_is_mq(bdev_get_queue(bdev));
}

bool rnull_dio_bdev_nowait(struct block_device *bdev)
{
	return bdev_nowait(bdev);
}

/*
 * Keep the number of hardware queues of @bdev as it is, if there is one of
 * that @index. Pairs with rnull_dio_bdev_exit_hctx().
 */
bool rnull_dio_bdev_enter_hctx(struct block_device *bdev, unsigned int index)
{
	struct request_queue *q = bdev_get_queue(bdev);

	if (!percpu_ref_tryget(&q->q_usage_counter))
		return false;
	if (queue_is_mq(q) && index < q->nr_hw_queues)
		return true;
	percpu_ref_put(&q->q_usage_counter);
	return false;
}

void rnull_dio_bdev_exit_hctx(struct block_device *bdev)
{
	percpu_ref_put(&bdev_get_queue(bdev)->q_usage_counter);
}

u64 rnull_dio_bdev_nr_bytes(struct block_device *bdev)
{
	return bdev_nr_bytes(bdev);
}
