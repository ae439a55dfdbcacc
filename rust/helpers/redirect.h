/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Redirected functions of the kernel, and the super blocks whose direct I/O is
 * redirected. Not exported to a kernel tree, which would change the function.
 */
#ifndef RNULL_DIO_REDIRECT_H
#define RNULL_DIO_REDIRECT_H

#include <linux/fs.h>
#include <linux/limits.h>

struct ftrace_ops;
struct iomap_dio_ops;
struct iomap_ops;

struct ftrace_ops *ext_ftrace_attach(void *const *functions, unsigned int count,
				     void *trampoline);
unsigned long ext_ftrace_entry(const void *function);
void ext_ftrace_detach(struct ftrace_ops *ops, void *trampoline);
void *ext_find_function(const char *name);

/* What takes the direct I/O of a super block, with the arguments of iomap_dio_rw() and itself. */
struct ext_dio_taker {
	ssize_t (*rw)(struct kiocb *iocb, struct iov_iter *iter,
		      const struct iomap_ops *ops,
		      const struct iomap_dio_ops *dops, unsigned int dio_flags,
		      void *private, size_t done_before,
		      struct ext_dio_taker *taker);
};

/* The result of a taker that leaves a request to the kernel's own iomap_dio_rw(). */
#define EXT_DIO_PASSED	LONG_MIN

struct ext_dio_slot {
	struct super_block *sb;
	struct ext_dio_taker *taker;
};

#define EXT_DIO_SLOTS	256

/* Not static, because the trampoline refers to it by its name. */
extern struct ext_dio_slot ext_dio_slots[EXT_DIO_SLOTS];

int ext_dio_attach(struct super_block *sb, struct ext_dio_taker *taker);
void ext_dio_detach(struct super_block *sb);
void ext_dio_set_slots(bool empty);
unsigned int ext_dio_used_slots(void);
ssize_t ext_dio_rw(struct kiocb *iocb, struct iov_iter *iter,
		   const struct iomap_ops *ops,
		   const struct iomap_dio_ops *dops, unsigned int dio_flags,
		   void *private, size_t done_before,
		   struct ext_dio_taker *taker);
void ext_dio_rw_trampoline(void);
void *ext_iomap_dio_rw(void);

#endif /* RNULL_DIO_REDIRECT_H */
