// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/container_of.h>
#include <linux/percpu-refcount.h>

#include "helpers.h"

static void users_gone(struct percpu_ref *ref)
{
	complete_all(&container_of(ref, struct ext_users, ref)->gone);
}

int ext_users_init(struct ext_users *users)
{
	init_completion(&users->gone);
	return percpu_ref_init(&users->ref, users_gone, 0, GFP_KERNEL);
}

bool ext_users_tryget(struct ext_users *users)
{
	return percpu_ref_tryget_live(&users->ref);
}

void ext_users_put(struct ext_users *users)
{
	percpu_ref_put(&users->ref);
}

/* No more users are let in. Must be called once. */
void ext_users_kill(struct ext_users *users)
{
	percpu_ref_kill(&users->ref);
}

/* Sleep until there are no users, after ext_users_kill() by any task. */
void ext_users_wait(struct ext_users *users)
{
	wait_for_completion(&users->gone);
}

void ext_users_exit(struct ext_users *users)
{
	percpu_ref_exit(&users->ref);
}
