/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Linux AIO: its system calls, redirected, and what their replacement needs. Not
 * exported to a kernel tree, which would change fs/aio.c.
 */
#ifndef RNULL_DIO_AIO_H
#define RNULL_DIO_AIO_H

#include <linux/aio_abi.h>
#include <linux/completion.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <linux/mm_types.h>
#include <linux/percpu-refcount.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>

/* What takes the system calls, with their arguments behind itself. */
struct ext_aio_taker {
	long (*setup)(struct ext_aio_taker *taker, unsigned int nr_events,
		      void __user *ctxp);
	long (*destroy)(struct ext_aio_taker *taker, unsigned long ctx);
	long (*submit)(struct ext_aio_taker *taker, unsigned long ctx, long nr,
		       void __user *iocbpp);
	long (*cancel)(struct ext_aio_taker *taker, unsigned long ctx,
		       void __user *iocb);
	long (*getevents)(struct ext_aio_taker *taker, unsigned long ctx,
			  long min_nr, long nr, void __user *events,
			  void __user *timeout);
	long (*pgetevents)(struct ext_aio_taker *taker, unsigned long ctx,
			   long min_nr, long nr, void __user *events,
			   void __user *timeout, void __user *sigset);
};

/* The result of a taker that leaves a call to the kernel's own function. */
#define EXT_AIO_PASSED	LONG_MIN

/* The system calls, and how many they are. */
enum ext_aio_call {
	EXT_AIO_SETUP,
	EXT_AIO_DESTROY,
	EXT_AIO_SUBMIT,
	EXT_AIO_CANCEL,
	EXT_AIO_GETEVENTS,
	EXT_AIO_PGETEVENTS,
	EXT_AIO_CALLS,
};

int ext_aio_set_taker(struct ext_aio_taker *taker);
void ext_aio_unset_taker(void);
const char *ext_aio_call_name(unsigned int call);
int ext_aio_set_entries(void *const *functions);
void ext_aio_trampoline(void);

/* Not static, because the trampoline refers to it by its name. */
struct pt_regs;
long ext_aio_call(const struct pt_regs *regs, unsigned long entry);

/* aio.c */

/* The magic in the header of a ring, and of the file system of the files of contexts */
#define EXT_AIO_RING_MAGIC	0xa10a10a1

/*
 * The users of a context, which is the private data of @file. When there are
 * none any more, the reference to the file is dropped.
 */
struct ext_aio_users {
	struct percpu_ref ref;
	struct completion gone;
	struct file *file;
};

int ext_aio_users_init(struct ext_aio_users *users);
bool ext_aio_users_tryget_rcu(struct ext_aio_users *users);
void ext_aio_users_get(struct ext_aio_users *users);
void ext_aio_users_put(struct ext_aio_users *users);
void ext_aio_users_kill(struct ext_aio_users *users);
void ext_aio_users_wait(struct ext_aio_users *users);
void ext_aio_users_exit(struct ext_aio_users *users);

struct kmem_cache *ext_kmem_cache_create(const char *name, unsigned int size,
					 unsigned int align);
struct mm_struct *ext_current_mm(void);
bool ext_mm_has_users(struct mm_struct *mm);
int ext_get_user_ulong(unsigned long *value, const void __user *from);
int ext_put_user_u32(u32 value, void __user *to);
void ext_store_release_u32(u32 *to, u32 value);
struct file *ext_aio_getfile(const struct file_operations *fops, void *private,
			     loff_t size);
void ext_aio_unpin(void);
void ext_vma_set_ring_flags(struct vm_area_struct *vma);
vm_fault_t ext_vmalloc_fault(struct vm_fault *vmf, const void *memory,
			     unsigned long nr_pages);
int ext_kiocb_set_rw_flags(struct kiocb *iocb, int flags, bool write);
int ext_ioprio_check(int ioprio);
bool ext_file_is_regular(const struct file *file);
ssize_t ext_call_iter(struct kiocb *iocb, struct iov_iter *iter, bool write);
void ext_eventfd_signal(struct eventfd_ctx *eventfd);
const struct cred *ext_get_current_cred(void);
int ext_vfs_fsync_as(const struct cred *cred, struct file *file, bool data);
int ext_get_timeout(const void __user *from, s64 *ns);
int ext_set_user_sigmask(const void __user *mask, size_t size);
void ext_restore_sigmask(bool interrupted);
ssize_t ext_read_as_opener(struct file *file, void *to, size_t len);

/* aio_poll.c */

/* An entry of the wait queue of a file. */
struct ext_poll_entry {
	struct wait_queue_entry wait;
	/* NULL if there is none, or if it has been freed. */
	struct wait_queue_head *head;
};

void ext_poll_init(struct ext_poll_entry *entry, wait_queue_func_t func);
u32 ext_poll_add(struct file *file, struct ext_poll_entry *entry, u32 events,
		 unsigned int *queues);
u32 ext_poll_again(struct file *file, u32 events);
bool ext_poll_remove(struct ext_poll_entry *entry);
void ext_poll_unqueue(struct ext_poll_entry *entry);
u32 ext_poll_events(u16 events);
u32 ext_mangle_poll(u32 mask);

#endif /* RNULL_DIO_AIO_H */
