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

u32 ext_this_cpu_read(u32 __percpu *number)
{
	return this_cpu_read(*number);
}

/* Returns the number as it was. */
u32 ext_this_cpu_cmpxchg(u32 __percpu *number, u32 old, u32 new)
{
	return this_cpu_cmpxchg(*number, old, new);
}

u32 ext_this_cpu_add_return(u32 __percpu *number, u32 added)
{
	return this_cpu_add_return(*number, added);
}

unsigned int ext_num_possible_cpus(void)
{
	return num_possible_cpus();
}

u64 ext_per_cpu_sum(const u64 __percpu *counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counter, cpu));
	return sum;
}
