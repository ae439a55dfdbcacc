// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "helpers.h"

/* Page cache that is allocated without I/O as long as it has users. */
struct noio_mapping {
	struct list_head list;
	struct address_space *mapping;
	unsigned int users;
	gfp_t before;
};

/* Also serializes changes of their masks. */
static DEFINE_MUTEX(noio_mutex);
static LIST_HEAD(noio_mappings);

static struct noio_mapping *find(const struct address_space *mapping)
{
	struct noio_mapping *entry;

	list_for_each_entry(entry, &noio_mappings, list)
		if (entry->mapping == mapping)
			return entry;
	return NULL;
}

/*
 * Have page cache of the file allocated without I/O until ext_file_end_noio(),
 * because I/O may wait for its folios, which other tasks lock while they wait for
 * memory. The file may be opened, and this called, several times.
 */
int ext_file_begin_noio(struct file *file)
{
	struct address_space *mapping = file->f_mapping;
	struct noio_mapping *entry;
	int err = 0;

	mutex_lock(&noio_mutex);
	entry = find(mapping);
	if (!entry) {
		entry = kzalloc_obj(*entry);
		if (!entry) {
			err = -ENOMEM;
			goto unlock;
		}
		entry->mapping = mapping;
		entry->before = mapping_gfp_mask(mapping);
		mapping_set_gfp_mask(mapping,
				     entry->before & ~(__GFP_IO | __GFP_FS));
		list_add(&entry->list, &noio_mappings);
	}
	entry->users++;
unlock:
	mutex_unlock(&noio_mutex);
	return err;
}

/* The counterpart of a successful ext_file_begin_noio() of the same file. */
void ext_file_end_noio(struct file *file)
{
	struct noio_mapping *entry;

	mutex_lock(&noio_mutex);
	entry = find(file->f_mapping);
	if (!WARN_ON_ONCE(!entry) && !--entry->users) {
		mapping_set_gfp_mask(entry->mapping, entry->before);
		list_del(&entry->list);
		kfree(entry);
	}
	mutex_unlock(&noio_mutex);
}
