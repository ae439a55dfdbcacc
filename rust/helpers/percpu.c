// SPDX-License-Identifier: GPL-2.0
#include <linux/cpumask.h>
#include <linux/percpu.h>

#include "helpers.h"

void ext_this_cpu_inc(u64 __percpu *counter)
{
	this_cpu_inc(*counter);
}

void ext_this_cpu_dec(u64 __percpu *counter)
{
	this_cpu_dec(*counter);
}

u64 ext_per_cpu_sum(const u64 __percpu *counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}
