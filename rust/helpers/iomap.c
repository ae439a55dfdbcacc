// SPDX-License-Identifier: GPL-2.0
#include <linux/bug.h>
#include <linux/fs.h>
#include <linux/fserror.h>
#include <linux/iomap.h>

#include "helpers.h"

/*
 * Finish the mapping of @iter, if there is one, and get the next one. Returns 1
 * if there is a mapping, 0 at the end of the range, or a negative errno. The
 * kernel does not export its own iomap_iter().
 */
int ext_iomap_iter(struct iomap_iter *iter, const struct iomap_ops *ops)
{
	int ret;

	if (ops->iomap_next)
		ret = ops->iomap_next(iter, &iter->iomap, &iter->srcmap);
	else
		ret = iomap_iter_next(iter, &iter->iomap, &iter->srcmap,
				      ops->iomap_begin, ops->iomap_end);
	iter->status = 0;
	iter->iter_start_pos = iter->pos;
	if (ret > 0 && WARN_ON_ONCE(iter->iomap.offset > iter->pos ||
				    iomap_length(iter) == 0))
		ret = -EIO;
	return ret;
}

void ext_fserror_report_dio(struct inode *inode, bool write, loff_t pos,
			    u64 len, int error)
{
	fserror_report_io(inode,
			  write ? FSERR_DIRECTIO_WRITE : FSERR_DIRECTIO_READ,
			  pos, len, error, GFP_NOFS);
}
