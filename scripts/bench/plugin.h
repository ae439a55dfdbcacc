/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The part of QEMU's plugin interface, version 4, that the plugins here use, with QEMU's names and
 * types, because Debian does not package the header; and the instruction that the guest executes to
 * begin and to end a measurement.
 */
#ifndef BENCH_PLUGIN_H
#define BENCH_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PLUGIN_API __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
typedef struct {
	struct qemu_plugin_scoreboard *score;
	size_t offset;
} qemu_plugin_u64;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_MEM_RW };

typedef void (*tb_trans_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*simple_cb)(qemu_plugin_id_t id);
typedef void (*vcpu_cb)(qemu_plugin_id_t id, unsigned int vcpu);
typedef void (*insn_exec_cb)(unsigned int vcpu, void *data);
typedef void (*mem_cb)(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data);

void qemu_plugin_reset(qemu_plugin_id_t id, simple_cb cb);
void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id, vcpu_cb cb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_trans_cb cb);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t idx);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *dest, size_t len);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, insn_exec_cb cb,
					    enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, mem_cb cb,
				      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw,
				      void *data);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *tb,
						       enum qemu_plugin_op op,
						       qemu_plugin_u64 entry, uint64_t imm);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64 entry);

PLUGIN_API int qemu_plugin_version = 4;

/* Whether a block is a part of the kernel; it is a part of user space otherwise. */
static inline bool is_kernel(uint64_t address)
{
	return address >> 63;
}

/* The marker is a nop that compilers do not emit: nopl MAGIC(%rax,%rax,1) */
static inline bool is_marker(const struct qemu_plugin_insn *insn)
{
	static const uint8_t marker[] = { 0x0f, 0x1f, 0x84, 0x00, 0x6d, 0x61, 0x72, 0x6b };
	uint8_t code[sizeof(marker)];

	return qemu_plugin_insn_data(insn, code, sizeof(code)) == sizeof(code) &&
	       memcmp(code, marker, sizeof(code)) == 0;
}

/* Has CB called when a block of user space executes the marker. */
static inline void watch_for_marker(struct qemu_plugin_tb *tb, insn_exec_cb cb)
{
	size_t index, length = qemu_plugin_tb_n_insns(tb);

	for (index = 0; index < length; index++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, index);

		if (is_marker(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, QEMU_PLUGIN_CB_NO_REGS,
							       NULL);
	}
}

/* Opens the file that the plugin's argument "out=FILE" names; returns NULL if that fails. */
static inline FILE *open_output(int argc, char **argv)
{
	FILE *out;

	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
		fprintf(stderr, "plugin: the one argument is out=FILE\n");
		return NULL;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out)
		perror(argv[0] + 4);
	return out;
}

#endif /* BENCH_PLUGIN_H */
