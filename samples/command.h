/* SPDX-License-Identifier: GPL-2.0 */
/*
 * io_uring: commands for files of a diofs, and waiting for results.
 */
#ifndef SAMPLES_COMMAND_H
#define SAMPLES_COMMAND_H

#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "../include/uapi/rnull_dio.h"

/**
 * prep_command - fill in a submission queue entry
 * @sqe: the entry
 * @op: RNULL_DIO_URING_CMD_READ or RNULL_DIO_URING_CMD_WRITE
 * @fd: the file
 * @buf: the memory
 * @len: its length in bytes
 * @pos: the position in the file in bytes
 * @flags: RNULL_DIO_DSYNC, or 0
 */
static inline void prep_command(struct io_uring_sqe *sqe, __u32 op, int fd,
				void *buf, __u32 len, __u64 pos, __u32 flags)
{
	struct rnull_dio_uring_cmd cmd = { .pos = pos, .flags = flags };

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, buf, len, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
}

/**
 * use_registered - take the memory of an entry from a registered buffer
 * @sqe: the entry, filled in
 * @index: the index of the registered buffer
 */
static inline void use_registered(struct io_uring_sqe *sqe, __u16 index)
{
	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = index;
}

/**
 * wait_result - wait for the next completion
 * @ring: the ring; a polled one is polled
 *
 * Return: the result in the completion, or a negated errno of the wait.
 */
static inline int wait_result(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int ret;

	do {
		ret = io_uring_wait_cqe(ring, &cqe);
	} while (ret == -EINTR);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

#endif /* SAMPLES_COMMAND_H */
