// SPDX-License-Identifier: GPL-2.0
#include <linux/build_bug.h>
#include <linux/cleanup.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/iomap.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/stddef.h>

#include "redirect.h"

#ifdef CONFIG_X86_64
#include <asm/ibt.h>
#include <asm/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/text-patching.h>
#include <asm/unwind_hints.h>

#define EXT_ENDBR_SIZE	4
#endif

/*
 * Have @trampoline called at the entry of @count functions, in the text of the
 * kernel or of modules. Returns what ext_ftrace_detach() takes, or an error
 * pointer: EOPNOTSUPP if this kernel cannot do it, EBUSY if another user has
 * redirected one of the functions.
 */
struct ftrace_ops *ext_ftrace_attach(void *const *functions, unsigned int count,
				     void *trampoline)
{
#if defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)
	struct ftrace_ops *ops = kzalloc(sizeof(*ops), GFP_KERNEL);
	int err = 0;

	if (!ops)
		return ERR_PTR(-ENOMEM);
	for (unsigned int i = 0; i < count && !err; i++)
		err = ftrace_set_filter_ip(ops, (unsigned long)functions[i], 0,
					   0);
	if (!err)
		err = register_ftrace_direct(ops, (unsigned long)trampoline);
	if (!err)
		return ops;
	if (err == -ENODEV) {
		/* ftrace has disabled itself, and may have left calls. */
		__module_get(THIS_MODULE);
		return ERR_PTR(err);
	}
	/* Tasks may have seen it in the list of ftrace's users. */
	synchronize_rcu_tasks();
	ftrace_free_filter(ops);
	kfree(ops);
	return ERR_PTR(err);
#else
	return ERR_PTR(-EOPNOTSUPP);
#endif
}

#ifdef CONFIG_X86_64
/* While another user of ftrace changes a call, a breakpoint is there. */
static bool ext_is_call(u8 opcode)
{
	return opcode == CALL_INSN_OPCODE || opcode == INT3_INSN_OPCODE;
}
#endif

/*
 * Returns where a redirected function goes on when the trampoline returns to it,
 * or 0 if the call is not found: it follows an instruction for indirect branches,
 * if the function has one.
 */
unsigned long ext_ftrace_entry(const void *function)
{
#if defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)
	const u8 *code = function;

	if (!ext_is_call(*code))
		code += EXT_ENDBR_SIZE;
	if (ext_is_call(*code))
		return (unsigned long)code + CALL_INSN_SIZE;
#endif
	return 0;
}

/*
 * No task enters @trampoline any more when this returns. Tasks that sleep in a
 * function which it has called may still be there.
 */
void ext_ftrace_detach(struct ftrace_ops *ops, void *trampoline)
{
#if defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)
	if (WARN_ON_ONCE(unregister_ftrace_direct(ops, (unsigned long)trampoline,
						  true))) {
		/* ftrace has disabled itself: the call stays, and so must we. */
		__module_get(THIS_MODULE);
		synchronize_rcu_tasks();
		return;
	}
	synchronize_rcu_tasks();
	kfree(ops);
#endif
}

/*
 * Returns the address of a function of the kernel, or an error pointer. The
 * kernel does not export kallsyms_lookup_name(), but looks up a kprobe's symbol;
 * the probe is not armed.
 */
void *ext_find_function(const char *name)
{
#ifdef CONFIG_KPROBES
	struct kprobe *probe __free(kfree) = kzalloc(sizeof(*probe), GFP_KERNEL);
	int err;

	if (!probe)
		return ERR_PTR(-ENOMEM);
	probe->symbol_name = name;
	probe->flags = KPROBE_FLAG_DISABLED;
	err = register_kprobe(probe);
	if (err)
		return ERR_PTR(err);
	unregister_kprobe(probe);
	return probe->addr;
#else
	return ERR_PTR(-EOPNOTSUPP);
#endif
}

/*
 * The super blocks whose direct I/O is redirected, a hash table that tasks look
 * into without a lock. Where none has been, there is NULL; where one was taken
 * away, there is EXT_DIO_GONE.
 */
#define EXT_DIO_GONE	((struct super_block *)1)

struct ext_dio_slot ext_dio_slots[EXT_DIO_SLOTS];

static DEFINE_MUTEX(ext_dio_mutex);
static unsigned int ext_dio_used;

/* Two super blocks rarely differ in less than the bits from this one on. */
#define EXT_DIO_SHIFT	11

static struct ext_dio_slot *ext_dio_slot_of(const struct super_block *sb,
					    unsigned int i)
{
	return &ext_dio_slots[(((unsigned long)sb >> EXT_DIO_SHIFT) + i) %
			      EXT_DIO_SLOTS];
}

/*
 * Have requests of @sb passed to @taker. EBUSY if they are already; ENOSPC if
 * half of the slots are used.
 */
int ext_dio_attach(struct super_block *sb, struct ext_dio_taker *taker)
{
	struct ext_dio_slot *slot, *free = NULL;
	unsigned int i;

	guard(mutex)(&ext_dio_mutex);
	for (i = 0; i < EXT_DIO_SLOTS; i++) {
		slot = ext_dio_slot_of(sb, i);
		if (slot->sb == sb)
			return -EBUSY;
		if (!free && (!slot->sb || slot->sb == EXT_DIO_GONE))
			free = slot;
		if (!slot->sb)
			break;
	}
	if (ext_dio_used >= EXT_DIO_SLOTS / 2 || !free)
		return -ENOSPC;
	ext_dio_used++;
	free->taker = taker;
	/* A task that finds @sb finds its taker. */
	smp_store_release(&free->sb, sb);
	return 0;
}

/*
 * Make slots empty again that nothing lies behind, up to slot number @i of @sb,
 * so that tasks need not look at them.
 */
static void ext_dio_clean(const struct super_block *sb, unsigned int i)
{
	unsigned int n;

	if (ext_dio_slot_of(sb, i + 1)->sb)
		return;
	for (n = 0; n < EXT_DIO_SLOTS; n++, i--) {
		struct ext_dio_slot *slot = ext_dio_slot_of(sb, i);

		if (slot->sb != EXT_DIO_GONE)
			return;
		WRITE_ONCE(slot->sb, NULL);
	}
}

/*
 * Sleeps. When this returns, no task passes a request to the taker that it was
 * not in already.
 */
void ext_dio_detach(struct super_block *sb)
{
	unsigned int i;

	guard(mutex)(&ext_dio_mutex);
	for (i = 0; i < EXT_DIO_SLOTS; i++) {
		struct ext_dio_slot *slot = ext_dio_slot_of(sb, i);

		if (slot->sb != sb)
			continue;
		WRITE_ONCE(slot->sb, EXT_DIO_GONE);
		/* A task may have found @sb, and not yet read its taker. */
		synchronize_rcu_tasks();
		ext_dio_used--;
		ext_dio_clean(sb, i);
		return;
	}
	WARN_ON_ONCE(1);
}

#if IS_ENABLED(CONFIG_KUNIT)
/* For tests, while nothing is attached: make all slots empty, or none. */
void ext_dio_set_slots(bool empty)
{
	unsigned int i;

	for (i = 0; i < EXT_DIO_SLOTS; i++)
		ext_dio_slots[i].sb = empty ? NULL : EXT_DIO_GONE;
}

/* Returns how many slots are not empty. */
unsigned int ext_dio_used_slots(void)
{
	unsigned int i, used = 0;

	for (i = 0; i < EXT_DIO_SLOTS; i++)
		used += !!ext_dio_slots[i].sb;
	return used;
}
#endif

#ifdef CONFIG_X86_64
/* Called by the trampoline, with the arguments of iomap_dio_rw(). */
ssize_t ext_dio_rw(struct kiocb *iocb, struct iov_iter *iter,
		   const struct iomap_ops *ops,
		   const struct iomap_dio_ops *dops, unsigned int dio_flags,
		   void *private, size_t done_before,
		   struct ext_dio_taker *taker)
{
	return taker->rw(iocb, iter, ops, dops, dio_flags, private,
			 done_before, taker);
}

/* Makes the offsets known to the assembler, and checks what the trampoline relies on. */
static void __used ext_dio_offsets(void)
{
	BUILD_BUG_ON(sizeof(struct ext_dio_slot) != 16);
	BUILD_BUG_ON(offsetof(struct ext_dio_slot, sb) != 0);
	BUILD_BUG_ON(offsetof(struct ext_dio_slot, taker) != 8);
	BUILD_BUG_ON(EXT_DIO_PASSED != LONG_MIN);

	asm volatile(".set EXT_KI_FILP, %c0\n"
		     ".set EXT_F_INODE, %c1\n"
		     ".set EXT_I_SB, %c2\n"
		     :: "i" (offsetof(struct kiocb, ki_filp)),
			"i" (offsetof(struct file, f_inode)),
			"i" (offsetof(struct inode, i_sb)));
}

/*
 * The function that is called at the entry of iomap_dio_rw(). The stack then has
 * the address in iomap_dio_rw() where it goes on, the address of its caller, and
 * its seventh argument.
 *
 * Looks the super block of the file up. If there is no taker, or the taker
 * returns EXT_DIO_PASSED, returns to iomap_dio_rw() with the arguments as they
 * were. Otherwise returns the taker's result to the caller of iomap_dio_rw().
 */
asm("	.pushsection .text, \"ax\", @progbits\n"
	/* Bit 0 of the address has a meaning for ftrace. */
	"	.balign	16\n"
	"	.type	ext_dio_rw_trampoline, @function\n"
	"	.globl	ext_dio_rw_trampoline\n"
	"ext_dio_rw_trampoline:\n"
	ASM_ENDBR
	"	movq	EXT_KI_FILP(%rdi), %rax\n"
	"	movq	EXT_F_INODE(%rax), %rax\n"
	"	movq	EXT_I_SB(%rax), %rax\n"
	/* As ext_dio_slot_of(), with slots of 16 bytes */
	"	movl	%eax, %r11d\n"
	"	shrl	$(" __stringify(EXT_DIO_SHIFT) " - 4), %r11d\n"
	"	andl	$((" __stringify(EXT_DIO_SLOTS) " - 1) * 16), %r11d\n"
	"	cmpq	%rax, ext_dio_slots(%r11)\n"
	"	je	2f\n"
	"	cmpq	$0, ext_dio_slots(%r11)\n"
	"	je	4f\n"
	"	movl	%r11d, %r10d\n"
	"1:	addl	$16, %r11d\n"
	"	andl	$((" __stringify(EXT_DIO_SLOTS) " - 1) * 16), %r11d\n"
	"	cmpq	%rax, ext_dio_slots(%r11)\n"
	"	je	2f\n"
	"	cmpq	$0, ext_dio_slots(%r11)\n"
	"	je	4f\n"
	/* All slots may be used, or have been. */
	"	cmpl	%r10d, %r11d\n"
	"	jne	1b\n"
	"	" ASM_RET
	"2:	pushq	%rbp\n"
	"	movq	%rsp, %rbp\n"
	CALL_DEPTH_ACCOUNT
	"	pushq	%rdi\n"
	"	pushq	%rsi\n"
	"	pushq	%rdx\n"
	"	pushq	%rcx\n"
	"	pushq	%r8\n"
	"	pushq	%r9\n"
	"	pushq	ext_dio_slots+8(%r11)\n"
	"	pushq	24(%rbp)\n"
	"	call	ext_dio_rw\n"
	/* Overflows for EXT_DIO_PASSED only */
	"	cmpq	$1, %rax\n"
	"	jo	3f\n"
	"	leave\n"
	/* Passes over the address in iomap_dio_rw() */
	"	leaq	8(%rsp), %rsp\n"
	UNWIND_HINT_FUNC
	ASM_RET
	"3:	leaq	16(%rsp), %rsp\n"
	"	popq	%r9\n"
	"	popq	%r8\n"
	"	popq	%rcx\n"
	"	popq	%rdx\n"
	"	popq	%rsi\n"
	"	popq	%rdi\n"
	"	popq	%rbp\n"
	"4:	" ASM_RET
	"	.size	ext_dio_rw_trampoline, .-ext_dio_rw_trampoline\n"
	"	.popsection\n");
#else
void ext_dio_rw_trampoline(void)
{
}
#endif

/* Returns the address of the kernel's function, at which the trampoline is called. */
void *ext_iomap_dio_rw(void)
{
	return iomap_dio_rw;
}
