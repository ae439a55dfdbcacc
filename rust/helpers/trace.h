/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints of the direct I/O engine. Positions and lengths are in bytes. pos
 * is where the request begins; dev, ino and pos identify the events of a request,
 * unless requests that overlap are in flight.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rnull_dio

#if !defined(RNULL_DIO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RNULL_DIO_TRACE_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/tracepoint.h>

/* The names and the order of the engine's enums, in needs.rs, route.rs and policy.rs. */
#define RNULL_DIO_NEEDS_STRINGS \
	{ 0,	"Nothing" }, \
	{ 1,	"Task" }, \
	{ 2,	"Io" }

#define RNULL_DIO_ARRIVAL_STRINGS \
	{ 0,	"Submitter" }, \
	{ 1,	"Sync" }, \
	{ 2,	"Polled" }, \
	{ 3,	"Irq" }

#define RNULL_DIO_ISSUER_STRINGS \
	{ 0,	"plain" }, \
	{ 1,	"defers" }

#define RNULL_DIO_POLICY_STRINGS \
	{ 0,	"auto" }, \
	{ 1,	"workqueue" }, \
	{ 2,	"defer" }, \
	{ 3,	"inline" }

#define RNULL_DIO_ROUTE_STRINGS \
	{ 0,	"submitter" }, \
	{ 1,	"waiter" }, \
	{ 2,	"reaper" }, \
	{ 3,	"inline" }, \
	{ 4,	"issuer" }, \
	{ 5,	"worker" }

/* A request is about to be submitted. None of its bios has been. */
TRACE_EVENT(rnull_dio_submit,
	TP_PROTO(const struct kiocb *iocb, size_t length, bool write, u32 needs),
	TP_ARGS(iocb, length, write, needs),
	TP_STRUCT__entry(
		__field(dev_t,	dev)
		__field(u64,	ino)
		__field(loff_t,	pos)
		__field(size_t,	length)
		__field(int,	ki_flags)
		__field(u32,	needs)
		__field(bool,	write)
	),
	TP_fast_assign(
		__entry->dev = file_inode(iocb->ki_filp)->i_sb->s_dev;
		__entry->ino = file_inode(iocb->ki_filp)->i_ino;
		__entry->pos = iocb->ki_pos;
		__entry->length = length;
		__entry->ki_flags = iocb->ki_flags;
		__entry->needs = needs;
		__entry->write = write;
	),
	TP_printk("dev %d:%d ino 0x%llx pos 0x%llx length 0x%zx write %d flags %s needs %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino,
		  __entry->pos,
		  __entry->length,
		  __entry->write,
		  __print_flags(__entry->ki_flags, "|", TRACE_IOCB_STRINGS),
		  __print_symbolic(__entry->needs, RNULL_DIO_NEEDS_STRINGS))
);

/*
 * A bio of a request has ended. The sector is where the bio began or, if the
 * block layer has split it, where the last part began, as in block_bio_complete.
 */
TRACE_EVENT(rnull_dio_bio_end,
	TP_PROTO(const struct kiocb *iocb, const struct bio *bio),
	TP_ARGS(iocb, bio),
	TP_STRUCT__entry(
		__field(dev_t,		dev)
		__field(u64,		ino)
		__field(loff_t,		pos)
		__field(sector_t,	sector)
		__field(int,		error)
	),
	TP_fast_assign(
		__entry->dev = file_inode(iocb->ki_filp)->i_sb->s_dev;
		__entry->ino = file_inode(iocb->ki_filp)->i_ino;
		__entry->pos = iocb->ki_pos;
		__entry->sector = bio->bi_iter.bi_sector;
		__entry->error = blk_status_to_errno(bio->bi_status);
	),
	TP_printk("dev %d:%d ino 0x%llx pos 0x%llx sector 0x%llx error %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino,
		  __entry->pos,
		  __entry->sector,
		  __entry->error)
);

/* The engine has chosen the context that runs the rest of a completion. */
TRACE_EVENT(rnull_dio_route,
	TP_PROTO(const struct kiocb *iocb, u32 needs, u32 arrival, u32 issuer,
		 u32 policy, u32 route),
	TP_ARGS(iocb, needs, arrival, issuer, policy, route),
	TP_STRUCT__entry(
		__field(dev_t,	dev)
		__field(u64,	ino)
		__field(loff_t,	pos)
		__field(u32,	needs)
		__field(u32,	arrival)
		__field(u32,	issuer)
		__field(u32,	policy)
		__field(u32,	route)
	),
	TP_fast_assign(
		__entry->dev = file_inode(iocb->ki_filp)->i_sb->s_dev;
		__entry->ino = file_inode(iocb->ki_filp)->i_ino;
		__entry->pos = iocb->ki_pos;
		__entry->needs = needs;
		__entry->arrival = arrival;
		__entry->issuer = issuer;
		__entry->policy = policy;
		__entry->route = route;
	),
	TP_printk("dev %d:%d ino 0x%llx pos 0x%llx needs %s arrival %s issuer %s policy %s route %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino,
		  __entry->pos,
		  __print_symbolic(__entry->needs, RNULL_DIO_NEEDS_STRINGS),
		  __print_symbolic(__entry->arrival, RNULL_DIO_ARRIVAL_STRINGS),
		  __print_symbolic(__entry->issuer, RNULL_DIO_ISSUER_STRINGS),
		  __print_symbolic(__entry->policy, RNULL_DIO_POLICY_STRINGS),
		  __print_symbolic(__entry->route, RNULL_DIO_ROUTE_STRINGS))
);

/* The issuer has refused to run a completion that was handed over to it. */
TRACE_EVENT(rnull_dio_refused,
	TP_PROTO(const struct kiocb *iocb, int error),
	TP_ARGS(iocb, error),
	TP_STRUCT__entry(
		__field(dev_t,	dev)
		__field(u64,	ino)
		__field(loff_t,	pos)
		__field(int,	error)
	),
	TP_fast_assign(
		__entry->dev = file_inode(iocb->ki_filp)->i_sb->s_dev;
		__entry->ino = file_inode(iocb->ki_filp)->i_ino;
		__entry->pos = iocb->ki_pos;
		__entry->error = error;
	),
	TP_printk("dev %d:%d ino 0x%llx pos 0x%llx error %d",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino,
		  __entry->pos,
		  __entry->error)
);

/* The completion is over, and the issuer is about to get the result. */
TRACE_EVENT(rnull_dio_complete,
	TP_PROTO(const struct kiocb *iocb, ssize_t ret),
	TP_ARGS(iocb, ret),
	TP_STRUCT__entry(
		__field(dev_t,		dev)
		__field(u64,		ino)
		__field(loff_t,		pos)
		__field(ssize_t,	ret)
	),
	TP_fast_assign(
		__entry->dev = file_inode(iocb->ki_filp)->i_sb->s_dev;
		__entry->ino = file_inode(iocb->ki_filp)->i_ino;
		__entry->pos = iocb->ki_pos;
		__entry->ret = ret;
	),
	TP_printk("dev %d:%d ino 0x%llx pos 0x%llx ret %zd",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino,
		  __entry->pos,
		  __entry->ret)
);

/* A device was polled once, and the task that polled completed reaped requests. */
TRACE_EVENT(rnull_dio_poll,
	TP_PROTO(const struct block_device *bdev, blk_qc_t cookie, u32 reaped),
	TP_ARGS(bdev, cookie, reaped),
	TP_STRUCT__entry(
		__field(dev_t,		dev)
		__field(blk_qc_t,	cookie)
		__field(u32,		reaped)
	),
	TP_fast_assign(
		__entry->dev = bdev->bd_dev;
		__entry->cookie = cookie;
		__entry->reaped = reaped;
	),
	TP_printk("dev %d:%d cookie 0x%x reaped %u",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->cookie,
		  __entry->reaped)
);

#endif /* RNULL_DIO_TRACE_H */

/* Below the guard, to be read again with every inclusion. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
