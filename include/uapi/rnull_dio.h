/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Commands for files of a diofs, by IORING_OP_URING_CMD.
 *
 * &io_uring_sqe.addr and &io_uring_sqe.len describe the memory, which is in a
 * registered buffer if IORING_URING_CMD_FIXED is set. The result is the number
 * of bytes transferred, or a negated errno.
 */
#ifndef _UAPI_RNULL_DIO_H
#define _UAPI_RNULL_DIO_H

#include <linux/const.h>
#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct rnull_dio_uring_cmd - a transfer, in &io_uring_sqe.cmd
 * @pos: the position in the file in bytes
 * @flags: RNULL_DIO_DSYNC, or 0
 * @reserved: must be 0
 */
struct rnull_dio_uring_cmd {
	__u64 pos;
	__u32 flags;
	__u32 reserved;
};

/* The data of a write is durable when the command is done. */
#define RNULL_DIO_DSYNC _BITUL(0)

#define RNULL_DIO_MAGIC 0xd1

#define RNULL_DIO_URING_CMD_READ \
	_IOWR(RNULL_DIO_MAGIC, 0x80, struct rnull_dio_uring_cmd)
#define RNULL_DIO_URING_CMD_WRITE \
	_IOWR(RNULL_DIO_MAGIC, 0x81, struct rnull_dio_uring_cmd)

#endif /* _UAPI_RNULL_DIO_H */
