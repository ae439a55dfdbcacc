// SPDX-License-Identifier: GPL-2.0
#include <linux/io_uring/cmd.h>

#include "helpers.h"

/* The entry may be memory that user space writes to: each field is read once. */
void ext_io_uring_cmd_read_sqe(const struct io_uring_cmd *cmd, u64 *addr,
			       u32 *len, u32 *file_index, u64 *payload)
{
	const struct io_uring_sqe *sqe = cmd->sqe;
	const struct { u64 words[2]; } *data;

	data = io_uring_sqe_cmd(sqe, typeof(*data));
	*addr = READ_ONCE(sqe->addr);
	*len = READ_ONCE(sqe->len);
	*file_index = READ_ONCE(sqe->file_index);
	payload[0] = READ_ONCE(data->words[0]);
	payload[1] = READ_ONCE(data->words[1]);
}

struct io_uring_cmd *ext_io_uring_cmd_from_tw(struct io_tw_req tw_req)
{
	return io_uring_cmd_from_tw(tw_req);
}
