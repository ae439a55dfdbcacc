// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU that counts accesses to memory of the kernel that several CPUs share:
 * -plugin sharing.so,out=FILE
 *
 * At the first marker (see plugin.h), the plugin reads FILE.without, in which the guest has
 * written the addresses of functions that are not counted. A marker after it begins a window, and
 * the next one ends it. Then the plugin appends to FILE the kernel's accesses, during the window,
 * to lines of memory of 64 bytes that are shared: a line "marker", for each instruction and line
 * of memory a line "ADDRESS INSTRUCTION READS WRITES", where ADDRESS is the first one that the
 * instruction accessed there, and a line "end". An atomic update is a write.
 *
 * A line of memory is shared if one CPU writes it and another one reads or writes it. Where less
 * than 2% of the accesses are writes, or are made by other CPUs than the one with the most, it is
 * not, because the kernel's background work accesses most lines at some time.
 *
 * What is not counted: a read that does the same as the CPU's last access, because it waits for
 * another CPU; all that the functions in FILE.without do, until they return; memory of user space;
 * and the topmost addresses, where each CPU has an APIC of its own. Addresses are virtual, so that
 * memory that the kernel has mapped twice is two lines.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "plugin.h"

#define MAX_CPUS 8
#define MAX_WITHOUT 8
#define LINE 64UL
#define FIXMAP 0xffffffffff000000UL
/* The share of accesses that makes a line shared: one of so many */
#define RARE 50UL
/* Places in the tables; both are powers of two. */
#define MAX_ENTRIES (1U << 20)
#define MAX_LINES (1U << 20)

/* What one instruction did, on one CPU, to a line; both addresses are 0 if the place is free. */
struct entry {
	uint64_t address;
	uint64_t instruction;
	uint32_t reads;
	uint32_t writes;
};

/*
 * A CPU's accesses in the window. Only the CPU's thread accesses this while the window is open, and
 * only the thread that has executed a marker otherwise: is_busy is set before is_open is read, and
 * the other way round.
 */
static struct cpu {
	atomic_bool is_busy;
	/* Of the last access, and of the last write */
	uint64_t address;
	uint64_t instruction;
	uint64_t stored;
	/* Where the return address of a function that is not counted is, during the function */
	uint64_t uncounted;
	uint32_t nr_entries;
	struct entry entries[MAX_ENTRIES];
} cpus[MAX_CPUS];

/* A line of memory: the accesses of each CPU, and all writes */
static struct line {
	uint64_t address;
	uint32_t accesses[MAX_CPUS];
	uint32_t writes;
} lines[MAX_LINES];
static uint32_t nr_lines;

/* The functions that are not counted, and the file with their addresses; NULL after it was read */
static uint64_t without[MAX_WITHOUT];
static size_t nr_without;
static char *without_path;
static qemu_plugin_id_t id;

static atomic_bool is_open;
static FILE *out;

static void die(const char *why)
{
	fprintf(stderr, "sharing.so: %s\n", why);
	exit(1);
}

static uint64_t hash(uint64_t value)
{
	return value * 0x9e3779b97f4a7c15 >> 32;
}

static uint64_t line_of(uint64_t address)
{
	return address & ~(LINE - 1);
}

/* Returns the place of these accesses, which is free if there were none. */
static struct entry *find_entry(struct cpu *cpu, uint64_t address, uint64_t instruction)
{
	uint64_t at = hash(line_of(address) + instruction);

	for (at %= MAX_ENTRIES; cpu->entries[at].address; at = (at + 1) % MAX_ENTRIES)
		if (line_of(cpu->entries[at].address) == line_of(address) &&
		    cpu->entries[at].instruction == instruction)
			break;
	return &cpu->entries[at];
}

static void count(struct cpu *cpu, uint64_t address, uint64_t instruction, bool is_store)
{
	struct entry *entry = find_entry(cpu, address, instruction);

	if (!entry->address) {
		if (++cpu->nr_entries > MAX_ENTRIES / 4 * 3)
			die("a CPU accesses too much memory");
		*entry = (struct entry){ .address = address, .instruction = instruction };
	}
	if (is_store)
		entry->writes++;
	else
		entry->reads++;
}

/* An access may begin in one line and end in the next one. */
static void count_access(struct cpu *cpu, uint64_t address, uint64_t instruction,
			 qemu_plugin_meminfo_t info)
{
	uint64_t last = address + (1UL << qemu_plugin_mem_size_shift(info)) - 1;
	bool is_store = qemu_plugin_mem_is_store(info);
	bool is_again = address == cpu->address && instruction == cpu->instruction;

	cpu->address = address;
	cpu->instruction = instruction;
	if (is_store)
		cpu->stored = address;
	if (cpu->uncounted) {
		/* The function returns. */
		if (!is_store && address == cpu->uncounted)
			cpu->uncounted = 0;
		return;
	}
	if (is_again && !is_store)
		return;
	count(cpu, address, instruction, is_store);
	if (line_of(last) != line_of(address))
		count(cpu, line_of(last), instruction, is_store);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
	struct cpu *cpu = &cpus[vcpu];

	if (!is_kernel(address) || address >= FIXMAP ||
	    !atomic_load_explicit(&is_open, memory_order_relaxed))
		return;
	atomic_store(&cpu->is_busy, true);
	if (atomic_load(&is_open))
		count_access(cpu, address, (uintptr_t)data, info);
	atomic_store_explicit(&cpu->is_busy, false, memory_order_release);
}

/* A function that is not counted begins. The last write has been that of the return address. */
static void on_uncounted(unsigned int vcpu, void *data)
{
	struct cpu *cpu = &cpus[vcpu];

	atomic_store(&cpu->is_busy, true);
	if (atomic_load(&is_open) && !cpu->uncounted)
		cpu->uncounted = cpu->stored;
	atomic_store_explicit(&cpu->is_busy, false, memory_order_release);
}

static struct line *find_line(uint64_t address)
{
	uint64_t at = hash(address / LINE) % MAX_LINES;

	while (lines[at].address && lines[at].address != address)
		at = (at + 1) % MAX_LINES;
	return &lines[at];
}

/* Adds the CPU's accesses to those of the lines. */
static void merge(unsigned int vcpu)
{
	const struct entry *entry = cpus[vcpu].entries;
	struct line *line;

	for (; entry < cpus[vcpu].entries + MAX_ENTRIES; entry++) {
		if (!entry->address)
			continue;
		line = find_line(line_of(entry->address));
		if (!line->address && ++nr_lines > MAX_LINES / 4 * 3)
			die("the CPUs access too much memory");
		line->address = line_of(entry->address);
		line->accesses[vcpu] += entry->reads + entry->writes;
		line->writes += entry->writes;
	}
}

static bool is_shared(const struct line *line)
{
	uint64_t all = 0, most = 0;
	unsigned int vcpu;

	for (vcpu = 0; vcpu < MAX_CPUS; vcpu++) {
		all += line->accesses[vcpu];
		if (line->accesses[vcpu] > most)
			most = line->accesses[vcpu];
	}
	return all > most && (all - most) * RARE >= all && line->writes &&
	       line->writes * RARE >= all;
}

/* Writes the accesses of an instruction to a line on this CPU and those after it. */
static void write_entry(unsigned int vcpu, const struct entry *entry)
{
	uint64_t reads = 0, writes = 0;
	const struct entry *other;

	for (; vcpu < MAX_CPUS; vcpu++) {
		other = find_entry(&cpus[vcpu], entry->address, entry->instruction);
		reads += other->reads;
		writes += other->writes;
	}
	fprintf(out, "%lx %lx %lu %lu\n", entry->address, entry->instruction, reads, writes);
}

/* Returns whether a CPU before this one has accesses of the instruction to that line. */
static bool is_written(unsigned int vcpu, const struct entry *entry)
{
	while (vcpu-- > 0)
		if (find_entry(&cpus[vcpu], entry->address, entry->instruction)->address)
			return true;
	return false;
}

static void write_shared(unsigned int vcpu)
{
	const struct entry *entry = cpus[vcpu].entries;

	for (; entry < cpus[vcpu].entries + MAX_ENTRIES; entry++)
		if (entry->address && is_shared(find_line(line_of(entry->address))) &&
		    !is_written(vcpu, entry))
			write_entry(vcpu, entry);
}

static void open_window(void)
{
	struct cpu *cpu;

	for (cpu = cpus; cpu < cpus + MAX_CPUS; cpu++)
		if (cpu->nr_entries)
			memset(cpu, 0, sizeof(*cpu));
	atomic_store(&is_open, true);
}

static void close_window(void)
{
	unsigned int vcpu;

	atomic_store(&is_open, false);
	for (vcpu = 0; vcpu < MAX_CPUS; vcpu++)
		while (atomic_load(&cpus[vcpu].is_busy))
			sched_yield();
	memset(lines, 0, sizeof(lines));
	nr_lines = 0;
	for (vcpu = 0; vcpu < MAX_CPUS; vcpu++)
		if (cpus[vcpu].nr_entries)
			merge(vcpu);
	fprintf(out, "marker\n");
	for (vcpu = 0; vcpu < MAX_CPUS; vcpu++)
		if (cpus[vcpu].nr_entries)
			write_shared(vcpu);
	fprintf(out, "end\n");
	fflush(out);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

static void on_reset(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
}

/* Reads the addresses, and has QEMU translate all code again, because these may be in it. */
static void read_without(void)
{
	FILE *file = fopen(without_path, "r");

	if (!file)
		die("the guest has not written FILE.without");
	while (nr_without < MAX_WITHOUT && fscanf(file, "%lx", &without[nr_without]) == 1)
		nr_without++;
	fclose(file);
	without_path = NULL;
	qemu_plugin_reset(id, on_reset);
}

/* One task of the guest executes all markers. */
static void on_marker(unsigned int vcpu, void *data)
{
	if (without_path)
		read_without();
	else if (atomic_load(&is_open))
		close_window();
	else
		open_window();
}

static void on_cpu(qemu_plugin_id_t id, unsigned int vcpu)
{
	if (vcpu >= MAX_CPUS)
		die("too many CPUs");
}

static bool is_uncounted(uint64_t address)
{
	size_t index;

	for (index = 0; index < nr_without; index++)
		if (without[index] == address)
			return true;
	return false;
}

/* Every call of a function begins a block. */
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t index, length = qemu_plugin_tb_n_insns(tb);
	uint64_t address = qemu_plugin_tb_vaddr(tb);

	if (!is_kernel(address)) {
		watch_for_marker(tb, on_marker);
		return;
	}
	if (is_uncounted(address))
		qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(tb, 0), on_uncounted,
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
	for (index = 0; index < length; index++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, index);

		qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW,
						 (void *)qemu_plugin_insn_vaddr(insn));
	}
}

PLUGIN_API int qemu_plugin_install(qemu_plugin_id_t own_id, const qemu_info_t *info, int argc,
				   char **argv)
{
	id = own_id;
	out = open_output(argc, argv);
	if (!out || asprintf(&without_path, "%s.without", argv[0] + strlen("out=")) < 0)
		return -1;
	qemu_plugin_register_vcpu_init_cb(id, on_cpu);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	return 0;
}
