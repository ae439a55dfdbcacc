// SPDX-License-Identifier: GPL-2.0
#include <linux/nodemask.h>

#include "helpers.h"

/* Also for numbers that no node can have */
bool ext_node_online(unsigned int node)
{
	return node < MAX_NUMNODES && node_online(node);
}

unsigned int ext_num_online_nodes(void)
{
	return num_online_nodes();
}
