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
