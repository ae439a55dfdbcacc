// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that counts what a guest with one CPU executes: -plugin count.so,out=FILE
 *
 * When the guest executes the marker, a nop that compilers do not emit, the plugin appends to FILE
 * the counts since the last marker: a line "marker USER" with the instructions of user space, and
 * for each block of the kernel's code a line "ADDRESS INSTRUCTIONS EXECUTIONS". A block is a unit
 * of QEMU's translation. Every call of a function begins a block, so that the executions of the
 * block at its address are the number of calls.
 *
 * A block that a fault interrupts counts as a whole.
 */
#include <stdlib.h>

#include "plugin.h"

static FILE *out;

#define MAX_BLOCKS (1U << 20)
#define HASH_SIZE (2 * MAX_BLOCKS)

/* A block and the counter of its executions have the same index; 0 is all of user space. */
static struct block {
	uint64_t address;
	uint64_t length;
	uint64_t before;
} blocks[MAX_BLOCKS];
static uint32_t nr_blocks, hash[HASH_SIZE];
static struct qemu_plugin_scoreboard *counters;

static qemu_plugin_u64 counter(uint32_t index)
{
	return (qemu_plugin_u64){ counters, index * sizeof(uint64_t) };
}

/* QEMU may translate the same code several times. */
static uint32_t find_block(uint64_t address, uint64_t length)
{
	uint64_t at = (address + length) * 0x9e3779b97f4a7c15 >> 32;

	for (at %= HASH_SIZE; hash[at]; at = (at + 1) % HASH_SIZE) {
		struct block *block = &blocks[hash[at]];

		if (block->address == address && block->length == length)
			return hash[at];
	}
	if (++nr_blocks == MAX_BLOCKS) {
		fprintf(stderr, "count.so: too much code\n");
		exit(1);
	}
	blocks[nr_blocks] = (struct block){ .address = address, .length = length };
	hash[at] = nr_blocks;
	return nr_blocks;
}

/* The executions since the last call */
static uint64_t new_count(uint32_t index)
{
	uint64_t then = blocks[index].before;

	blocks[index].before = qemu_plugin_u64_sum(counter(index));
	return blocks[index].before - then;
}

static void on_marker(unsigned int vcpu, void *data)
{
	uint32_t index;

	fprintf(out, "marker %lu\n", new_count(0));
	for (index = 1; index <= nr_blocks; index++) {
		const struct block *block = &blocks[index];
		uint64_t count = new_count(index);

		if (count)
			fprintf(out, "%lx %lu %lu\n", block->address, count * block->length, count);
	}
	fprintf(out, "end\n");
	fflush(out);
}

/* A block is either user space's or the kernel's. */
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	size_t length = qemu_plugin_tb_n_insns(tb);
	bool of_kernel = is_kernel(address);
	qemu_plugin_u64 entry = counter(of_kernel ? find_block(address, length) : 0);

	qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, entry,
							  of_kernel ? 1 : length);
	if (!of_kernel)
		watch_for_marker(tb, on_marker);
}

PLUGIN_API int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
				   char **argv)
{
	out = open_output(argc, argv);
	if (!out)
		return -1;
	counters = qemu_plugin_scoreboard_new(MAX_BLOCKS * sizeof(uint64_t));
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
