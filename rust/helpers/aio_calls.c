// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/ptrace.h>

#include "aio.h"
#include "redirect.h"

#ifdef CONFIG_X86_64
#include <asm/ibt.h>
#include <asm/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>
#endif

static struct ext_aio_taker *ext_aio_taker;

/* Have the calls passed to @taker that are redirected. EBUSY if there is a taker. */
int ext_aio_set_taker(struct ext_aio_taker *taker)
{
	/* A task that finds the taker finds what it points to. */
	return cmpxchg(&ext_aio_taker, NULL, taker) ? -EBUSY : 0;
}

/*
 * No call is passed to the taker from now on but by a task that has read it. Such
 * a task may not have called it yet, until it has slept.
 */
void ext_aio_unset_taker(void)
{
	WRITE_ONCE(ext_aio_taker, NULL);
}

#ifdef CONFIG_X86_64
static const char *const ext_aio_names[EXT_AIO_CALLS] = {
	[EXT_AIO_SETUP] = "__x64_sys_io_setup",
	[EXT_AIO_DESTROY] = "__x64_sys_io_destroy",
	[EXT_AIO_SUBMIT] = "__x64_sys_io_submit",
	[EXT_AIO_CANCEL] = "__x64_sys_io_cancel",
	[EXT_AIO_GETEVENTS] = "__x64_sys_io_getevents",
	[EXT_AIO_PGETEVENTS] = "__x64_sys_io_pgetevents",
};

/* Returns the name of the kernel's function. */
const char *ext_aio_call_name(unsigned int call)
{
	return ext_aio_names[call];
}

/* Where the kernel's functions go on behind their calls of the trampoline */
static unsigned long ext_aio_entries[EXT_AIO_CALLS];

/*
 * Have the calls passed on whose functions call the trampoline. EOPNOTSUPP if the
 * call is not found in one of them.
 */
int ext_aio_set_entries(void *const *functions)
{
	unsigned int i;

	for (i = 0; i < EXT_AIO_CALLS; i++) {
		unsigned long entry = ext_ftrace_entry(functions[i]);

		if (!entry)
			return -EOPNOTSUPP;
		WRITE_ONCE(ext_aio_entries[i], entry);
	}
	return 0;
}

/*
 * Called by the trampoline, with the only argument of the kernel's function, and
 * with the address where that goes on.
 */
long ext_aio_call(const struct pt_regs *regs, unsigned long entry)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);
	const unsigned long *entries = ext_aio_entries;

	if (!taker)
		return EXT_AIO_PASSED;
	if (entry == READ_ONCE(entries[EXT_AIO_SUBMIT]))
		return taker->submit(taker, regs->di, regs->si,
				     (void __user *)regs->dx);
	if (entry == READ_ONCE(entries[EXT_AIO_GETEVENTS]))
		return taker->getevents(taker, regs->di, regs->si, regs->dx,
					(void __user *)regs->r10,
					(void __user *)regs->r8);
	if (entry == READ_ONCE(entries[EXT_AIO_PGETEVENTS]))
		return taker->pgetevents(taker, regs->di, regs->si, regs->dx,
					 (void __user *)regs->r10,
					 (void __user *)regs->r8,
					 (void __user *)regs->r9);
	if (entry == READ_ONCE(entries[EXT_AIO_CANCEL]))
		return taker->cancel(taker, regs->di, (void __user *)regs->si);
	if (entry == READ_ONCE(entries[EXT_AIO_SETUP]))
		return taker->setup(taker, regs->di, (void __user *)regs->si);
	if (entry == READ_ONCE(entries[EXT_AIO_DESTROY]))
		return taker->destroy(taker, regs->di);
	return EXT_AIO_PASSED;
}

/*
 * The function that is called at the entry of the kernel's functions for the
 * system calls. It is one for all, because each user of ftrace that is removed
 * waits until all tasks have slept. The stack then has the address in the kernel's
 * function where it goes on, and the address of its caller.
 *
 * Returns to the kernel's function, with its argument, if the function that takes
 * the call returns EXT_AIO_PASSED. Otherwise returns its result to the caller.
 */
asm("	.pushsection .text, \"ax\", @progbits\n"
	/* Bit 0 of the address has a meaning for ftrace. */
	"	.balign	16\n"
	"	.type	ext_aio_trampoline, @function\n"
	"	.globl	ext_aio_trampoline\n"
	"ext_aio_trampoline:\n"
	ASM_ENDBR
	"	pushq	%rbp\n"
	"	movq	%rsp, %rbp\n"
	CALL_DEPTH_ACCOUNT
	"	pushq	%rdi\n"
	"	movq	8(%rbp), %rsi\n"
	"	call	ext_aio_call\n"
	/* Overflows for EXT_AIO_PASSED only */
	"	cmpq	$1, %rax\n"
	"	jo	1f\n"
	"	leave\n"
	/* Passes over the address in the kernel's function */
	"	leaq	8(%rsp), %rsp\n"
	UNWIND_HINT_FUNC
	ASM_RET
	"1:	popq	%rdi\n"
	"	popq	%rbp\n"
	"	" ASM_RET
	"	.size	ext_aio_trampoline, .-ext_aio_trampoline\n"
	"	.popsection\n");
#else
const char *ext_aio_call_name(unsigned int call)
{
	return "";
}

int ext_aio_set_entries(void *const *functions)
{
	return -EOPNOTSUPP;
}

void ext_aio_trampoline(void)
{
}
#endif
