// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>

#include "helpers.h"

/* Inline functions that return errors in a kernel without CONFIG_DEBUG_FS. */
struct dentry *ext_debugfs_create_dir(const char *name,
				      struct dentry *parent)
{
	return debugfs_create_dir(name, parent);
}

struct dentry *
ext_debugfs_create_file(const char *name, umode_t mode,
			struct dentry *parent, void *data,
			const struct file_operations *fops)
{
	return debugfs_create_file(name, mode, parent, data, fops);
}

void ext_debugfs_remove(struct dentry *dentry)
{
	debugfs_remove(dentry);
}
