// SPDX-License-Identifier: GPL-2.0
#include <linux/configfs.h>
#include <linux/fault-inject.h>
#include <linux/ratelimit.h>

#include "helpers.h"

#ifdef CONFIG_FAULT_INJECTION_CONFIGFS

/*
 * fault_config_init(), with the defaults of FAULT_ATTR_INITIALIZER. That is for
 * variables that are static, whose address lockdep has for the class of a lock.
 */
void ext_fault_config_init(struct fault_config *config, const char *name)
{
	config->attr = (struct fault_attr)FAULT_ATTR_INITIALIZER;
	ratelimit_state_init(&config->attr.ratelimit_state, 0,
			     DEFAULT_RATELIMIT_BURST);
	fault_config_init(config, name);
}

void ext_configfs_add_default_group(struct config_group *new_group,
				    struct config_group *group)
{
	configfs_add_default_group(new_group, group);
}

#endif /* CONFIG_FAULT_INJECTION_CONFIGFS */
