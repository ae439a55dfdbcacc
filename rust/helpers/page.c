// SPDX-License-Identifier: GPL-2.0
#include "helpers.h"

/* memcpy_page() leaves data cache aliases of the destination to its caller. */
void ext_memcpy_page(struct page *dst_page, size_t dst_off,
		     struct page *src_page, size_t src_off, size_t len)
{
	memcpy_page(dst_page, dst_off, src_page, src_off, len);
	flush_dcache_page(dst_page);
}

void ext_memzero_page(struct page *page, size_t offset, size_t len)
{
	memzero_page(page, offset, len);
}

static void free_page_rcu(struct rcu_head *head)
{
	__free_page(container_of(head, struct page, rcu_head));
}

/* The callback is text of this module: call rcu_barrier() before unloading it. */
void ext_free_page_rcu(struct page *page)
{
	call_rcu(&page->rcu_head, free_page_rcu);
}

void ext_cond_resched(void)
{
	cond_resched();
}
