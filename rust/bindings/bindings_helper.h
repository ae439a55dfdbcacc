/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Input for bindgen: what kernel_ext needs and the kernel's own bindings
 * crate lacks. The shims are defined in rust/helpers/.
 */
#include <linux/badblocks.h>
#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/falloc.h>
#include <linux/fault-inject.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/io_uring/cmd.h>
#include <linux/iomap.h>
#include <linux/kallsyms.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/task_work.h>
#include <linux/vmalloc.h>

#include "../../include/uapi/rnull_dio.h"
#include "../helpers/aio.h"
#include "../helpers/compat.h"
#include "../helpers/helpers.h"
#include "../helpers/redirect.h"
#include "../helpers/trace.h"

/* Macros with casts and sums, which bindgen passes over. */
const blk_opf_t EXT_REQ_OP_MASK = REQ_OP_MASK;
const blk_opf_t EXT_REQ_SYNC = REQ_SYNC;
const blk_opf_t EXT_REQ_IDLE = REQ_IDLE;
const blk_opf_t EXT_REQ_FUA = REQ_FUA;
const blk_opf_t EXT_REQ_NOWAIT = REQ_NOWAIT;
const blk_opf_t EXT_REQ_POLLED = REQ_POLLED;
const blk_opf_t EXT_REQ_NOUNMAP = REQ_NOUNMAP;
const int EXT_IOCB_HIPRI = IOCB_HIPRI;
const int EXT_IOCB_DSYNC = IOCB_DSYNC;
const int EXT_IOCB_NOWAIT = IOCB_NOWAIT;
const int EXT_IOCB_EVENTFD = IOCB_EVENTFD;
const int EXT_IOCB_WRITE = IOCB_WRITE;
const fmode_t EXT_FMODE_CAN_ODIRECT = FMODE_CAN_ODIRECT;
const fmode_t EXT_FMODE_NOWAIT = FMODE_NOWAIT;
const fmode_t EXT_FMODE_READ = FMODE_READ;
const fmode_t EXT_FMODE_WRITE = FMODE_WRITE;
const fop_flags_t EXT_FOP_BUFFER_RASYNC = FOP_BUFFER_RASYNC;
const fop_flags_t EXT_FOP_BUFFER_WASYNC = FOP_BUFFER_WASYNC;
const fop_flags_t EXT_FOP_DIO_PARALLEL_WRITE = FOP_DIO_PARALLEL_WRITE;
const fop_flags_t EXT_FOP_DONTCACHE = FOP_DONTCACHE;
const unsigned int EXT_IO_URING_F_NONBLOCK = IO_URING_F_NONBLOCK;
const unsigned int EXT_IO_URING_F_IOPOLL = IO_URING_F_IOPOLL;
const unsigned int EXT_IORING_URING_CMD_MASK = IORING_URING_CMD_MASK;
const unsigned int EXT_IORING_URING_CMD_FIXED = IORING_URING_CMD_FIXED;
const unsigned int EXT_IO_URING_CMD_TASK_WORK_ISSUE_FLAGS =
	IO_URING_CMD_TASK_WORK_ISSUE_FLAGS;
const unsigned int EXT_IOU_F_TWQ_LAZY_WAKE = IOU_F_TWQ_LAZY_WAKE;
const __u32 EXT_RNULL_DIO_DSYNC = RNULL_DIO_DSYNC;
const __u32 EXT_RNULL_DIO_URING_CMD_READ = RNULL_DIO_URING_CMD_READ;
const __u32 EXT_RNULL_DIO_URING_CMD_WRITE = RNULL_DIO_URING_CMD_WRITE;
const unsigned int EXT_BIOSET_PERCPU_CACHE = BIOSET_PERCPU_CACHE;
const blk_mode_t EXT_BLK_OPEN_READ_WRITE = BLK_OPEN_READ | BLK_OPEN_WRITE;
const unsigned int EXT_BIO_MAX_SIZE = BIO_MAX_SIZE;
const unsigned int EXT_BLK_MAX_BLOCK_SIZE = BLK_MAX_BLOCK_SIZE;
const blk_qc_t EXT_BLK_QC_T_NONE = BLK_QC_T_NONE;
const blk_status_t EXT_BLK_STS_NOTSUPP = BLK_STS_NOTSUPP;
const blk_status_t EXT_BLK_STS_TIMEOUT = BLK_STS_TIMEOUT;
const blk_status_t EXT_BLK_STS_NOSPC = BLK_STS_NOSPC;
const blk_status_t EXT_BLK_STS_RESOURCE = BLK_STS_RESOURCE;
const blk_status_t EXT_BLK_STS_IOERR = BLK_STS_IOERR;
const blk_status_t EXT_BLK_STS_DEV_RESOURCE = BLK_STS_DEV_RESOURCE;
const blk_status_t EXT_BLK_STS_ZONE_OPEN_RESOURCE = BLK_STS_ZONE_OPEN_RESOURCE;
const blk_status_t EXT_BLK_STS_ZONE_ACTIVE_RESOURCE = BLK_STS_ZONE_ACTIVE_RESOURCE;
const blk_features_t EXT_BLK_FEAT_ZONED = BLK_FEAT_ZONED;
const blk_features_t EXT_BLK_FEAT_WRITE_CACHE = BLK_FEAT_WRITE_CACHE;
const blk_features_t EXT_BLK_FEAT_FUA = BLK_FEAT_FUA;
const blk_features_t EXT_BLK_FEAT_ROTATIONAL = BLK_FEAT_ROTATIONAL;
const gfp_t EXT_GFP_KERNEL = GFP_KERNEL;
/* As bio_alloc_bioset() tries first for a caller that may sleep. */
const gfp_t EXT_GFP_NO_RESERVE =
	GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN;
const gfp_t EXT_GFP_KERNEL_ACCOUNT_ZERO = GFP_KERNEL_ACCOUNT | __GFP_ZERO;
const gfp_t EXT_GFP_NOIO = GFP_NOIO;
const gfp_t EXT_GFP_NOIO_ZERO = GFP_NOIO | __GFP_ZERO;
const long EXT_DIO_RW_PASSED = EXT_DIO_PASSED;
const long EXT_AIO_CALL_PASSED = EXT_AIO_PASSED;
const unsigned int EXT_AIO_CALL_COUNT = EXT_AIO_CALLS;
const u32 EXT_POLLFREE = (__force u32)POLLFREE;
const u32 EXT_AIO_MAGIC = EXT_AIO_RING_MAGIC;
const ssize_t EXT_EIOCBQUEUED = -EIOCBQUEUED;
const int EXT_IOCB_ATOMIC = IOCB_ATOMIC;
const unsigned int EXT_S_ENCRYPTED = S_ENCRYPTED;
const unsigned long EXT_AS_ERRORS = BIT(AS_EIO) | BIT(AS_ENOSPC);
const blk_features_t EXT_BLK_FEAT_PCI_P2PDMA = BLK_FEAT_PCI_P2PDMA;
const iov_iter_extraction_t EXT_ITER_ALLOW_P2PDMA = ITER_ALLOW_P2PDMA;
const int EXT_IOCB_SYNC = IOCB_SYNC;
const size_t EXT_KSYM_SYMBOL_LEN = KSYM_SYMBOL_LEN;
