// SPDX-License-Identifier: GPL-2.0
#include "helpers.h"

bool ext_blk_mq_add_to_batch(struct request *req,
			     struct io_comp_batch *iob, bool is_error,
			     void (*complete)(struct io_comp_batch *))
{
	return blk_mq_add_to_batch(req, iob, is_error, complete);
}

bool ext_blk_should_fake_timeout(struct request_queue *q)
{
	return blk_should_fake_timeout(q);
}

/*
 * Have the block layer issue no more requests like this one, a discard or a write
 * of zeroes: it writes zeroes as data instead. In any context. Requests that have
 * been issued come nevertheless.
 */
void ext_rq_disable_command(struct request *rq)
{
	if (req_op(rq) == REQ_OP_DISCARD)
		blk_queue_disable_discard(rq->q);
	else if (req_op(rq) == REQ_OP_WRITE_ZEROES)
		blk_queue_disable_write_zeroes(rq->q);
}

/* End a request as not supported, of which there is no line in the log. */
void ext_rq_end_not_supported(struct request *rq)
{
	rq->rq_flags |= RQF_QUIET;
	blk_mq_end_request(rq, BLK_STS_NOTSUPP);
}
