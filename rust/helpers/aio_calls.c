// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>

#include "aio.h"

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
 * Sleeps. When this returns, no task passes a call to the taker that it was not
 * in already.
 */
void ext_aio_unset_taker(void)
{
	WRITE_ONCE(ext_aio_taker, NULL);
	/* A task may have read it, and not yet called it. */
	synchronize_rcu_tasks();
}

#ifdef CONFIG_X86_64
/*
 * Functions that the trampolines call, with the only argument of the kernel's
 * function.
 */
long ext_aio_call_setup(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->setup(taker, regs->di, (void __user *)regs->si);
}

long ext_aio_call_destroy(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->destroy(taker, regs->di);
}

long ext_aio_call_submit(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->submit(taker, regs->di, regs->si,
			     (void __user *)regs->dx);
}

long ext_aio_call_cancel(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->cancel(taker, regs->di, (void __user *)regs->si);
}

long ext_aio_call_getevents(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->getevents(taker, regs->di, regs->si, regs->dx,
				(void __user *)regs->r10,
				(void __user *)regs->r8);
}

long ext_aio_call_pgetevents(const struct pt_regs *regs)
{
	struct ext_aio_taker *taker = READ_ONCE(ext_aio_taker);

	if (!taker)
		return EXT_AIO_PASSED;
	return taker->pgetevents(taker, regs->di, regs->si, regs->dx,
				 (void __user *)regs->r10,
				 (void __user *)regs->r8,
				 (void __user *)regs->r9);
}

/*
 * A function that is called at the entry of the kernel's function for a system
 * call. The stack then has the address in the kernel's function where it goes
 * on, and the address of its caller.
 *
 * Returns to the kernel's function, with its argument, if the function that takes
 * the call returns EXT_AIO_PASSED. Otherwise returns its result to the caller.
 */
#define EXT_AIO_TRAMPOLINE(name, call)					\
asm("	.pushsection .text, \"ax\", @progbits\n"			\
	/* Bit 0 of the address has a meaning for ftrace. */		\
	"	.balign	16\n"						\
	"	.type	" #name ", @function\n"				\
	"	.globl	" #name "\n"					\
	#name ":\n"							\
	ASM_ENDBR							\
	"	pushq	%rbp\n"						\
	"	movq	%rsp, %rbp\n"					\
	CALL_DEPTH_ACCOUNT						\
	"	pushq	%rdi\n"						\
	"	call	" #call "\n"					\
	/* Overflows for EXT_AIO_PASSED only */				\
	"	cmpq	$1, %rax\n"					\
	"	jo	1f\n"						\
	"	leave\n"						\
	/* Passes over the address in the kernel's function */		\
	"	leaq	8(%rsp), %rsp\n"				\
	UNWIND_HINT_FUNC						\
	ASM_RET								\
	"1:	popq	%rdi\n"						\
	"	popq	%rbp\n"						\
	"	" ASM_RET						\
	"	.size	" #name ", .-" #name "\n"			\
	"	.popsection\n")

EXT_AIO_TRAMPOLINE(ext_aio_setup_trampoline, ext_aio_call_setup);
EXT_AIO_TRAMPOLINE(ext_aio_destroy_trampoline, ext_aio_call_destroy);
EXT_AIO_TRAMPOLINE(ext_aio_submit_trampoline, ext_aio_call_submit);
EXT_AIO_TRAMPOLINE(ext_aio_cancel_trampoline, ext_aio_call_cancel);
EXT_AIO_TRAMPOLINE(ext_aio_getevents_trampoline, ext_aio_call_getevents);
EXT_AIO_TRAMPOLINE(ext_aio_pgetevents_trampoline, ext_aio_call_pgetevents);

static const struct {
	const char *name;
	void (*trampoline)(void);
} ext_aio_calls[EXT_AIO_CALLS] = {
	{ "__x64_sys_io_setup", ext_aio_setup_trampoline },
	{ "__x64_sys_io_destroy", ext_aio_destroy_trampoline },
	{ "__x64_sys_io_submit", ext_aio_submit_trampoline },
	{ "__x64_sys_io_cancel", ext_aio_cancel_trampoline },
	{ "__x64_sys_io_getevents", ext_aio_getevents_trampoline },
	{ "__x64_sys_io_pgetevents", ext_aio_pgetevents_trampoline },
};

/* Returns the name of the kernel's function. */
const char *ext_aio_call_name(unsigned int call)
{
	return ext_aio_calls[call].name;
}

void *ext_aio_trampoline(unsigned int call)
{
	return ext_aio_calls[call].trampoline;
}
#else
const char *ext_aio_call_name(unsigned int call)
{
	return "";
}

void *ext_aio_trampoline(unsigned int call)
{
	return NULL;
}
#endif
