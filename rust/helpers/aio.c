// SPDX-License-Identifier: GPL-2.0
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/ioprio.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pseudo_fs.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "aio.h"

static void ext_aio_users_gone(struct percpu_ref *ref)
{
	struct ext_aio_users *users =
		container_of(ref, struct ext_aio_users, ref);
	struct file *file = users->file;

	complete_all(&users->gone);
	/* Its release frees @users. A task that waits has another reference. */
	fput(file);
}

int ext_aio_users_init(struct ext_aio_users *users)
{
	users->file = NULL;
	init_completion(&users->gone);
	return percpu_ref_init(&users->ref, ext_aio_users_gone, 0, GFP_KERNEL);
}

bool ext_aio_users_tryget_rcu(struct ext_aio_users *users)
{
	return percpu_ref_tryget_live_rcu(&users->ref);
}

/* For a caller that is a user. */
void ext_aio_users_get(struct ext_aio_users *users)
{
	percpu_ref_get(&users->ref);
}

void ext_aio_users_put(struct ext_aio_users *users)
{
	percpu_ref_put(&users->ref);
}

/*
 * No more users are let in. Must be called once, and not before the file is set.
 *
 * A lookup under RCU may still see @users. There are some for a grace period,
 * because the count is one of each CPU until now, and what adds these up keeps one
 * for that long. So it must not be switched to another mode before.
 */
void ext_aio_users_kill(struct ext_aio_users *users)
{
	percpu_ref_kill(&users->ref);
}

/* Sleep until there are no users, after ext_aio_users_kill() by any task. */
void ext_aio_users_wait(struct ext_aio_users *users)
{
	wait_for_completion(&users->gone);
}

void ext_aio_users_exit(struct ext_aio_users *users)
{
	percpu_ref_exit(&users->ref);
}

struct kmem_cache *ext_kmem_cache_create(const char *name, unsigned int size,
					 unsigned int align)
{
	return kmem_cache_create(name, size, align, SLAB_HWCACHE_ALIGN, NULL);
}

struct mm_struct *ext_current_mm(void)
{
	return current->mm;
}

/* False while the last user of @mm is tearing it down. */
bool ext_mm_has_users(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users);
}

int ext_get_user_ulong(unsigned long *value, const void __user *from)
{
	return get_user(*value, (const unsigned long __user *)from);
}

int ext_put_user_u32(u32 value, void __user *to)
{
	return put_user(value, (u32 __user *)to);
}

void ext_store_release_u32(u32 *to, u32 value)
{
	/* Pairs with the load of a caller that looks at what was stored before. */
	smp_store_release(to, value);
}

/*
 * The file system of the files of contexts, so that /proc/PID/maps names them as
 * those of the kernel. It is there while there is a context, and refers to the
 * module until the last file has gone.
 */
static int ext_aio_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, EXT_AIO_RING_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type ext_aio_fs = {
	.name = "rnull_dio_aio",
	.owner = THIS_MODULE,
	.init_fs_context = ext_aio_init_fs_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *ext_aio_mnt;
static int ext_aio_pins;

/*
 * Returns a new file of @size bytes, or an error pointer: ENODEV if the module
 * is being unloaded. Its release must call ext_aio_unpin().
 */
struct file *ext_aio_getfile(const struct file_operations *fops, void *private,
			     loff_t size)
{
	struct inode *inode;
	struct file *file;
	int err;

	/* The file drops the reference. The module may have no other one. */
	if (!try_module_get(fops->owner))
		return ERR_PTR(-ENODEV);
	err = simple_pin_fs(&ext_aio_fs, &ext_aio_mnt, &ext_aio_pins);
	if (err)
		goto put_module;
	inode = alloc_anon_inode(ext_aio_mnt->mnt_sb);
	err = PTR_ERR_OR_ZERO(inode);
	if (err)
		goto unpin;
	i_size_write(inode, size);
	file = alloc_file_pseudo(inode, ext_aio_mnt, "[aio]", O_RDWR, fops);
	err = PTR_ERR_OR_ZERO(file);
	if (err)
		goto put_inode;
	file->private_data = private;
	return file;

put_inode:
	iput(inode);
unpin:
	ext_aio_unpin();
put_module:
	module_put(fops->owner);
	return ERR_PTR(err);
}

/* The file has a reference to the file system of its own. */
void ext_aio_unpin(void)
{
	simple_release_fs(&ext_aio_mnt, &ext_aio_pins);
}

/* The mapping is not inherited by a child, and does not grow. */
void ext_vma_set_ring_flags(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTCOPY);
}

/* Handle a fault in a mapping of @memory, which vmalloc() has returned. */
vm_fault_t ext_vmalloc_fault(struct vm_fault *vmf, const void *memory,
			     unsigned long nr_pages)
{
	struct page *page;

	if (vmf->pgoff >= nr_pages)
		return VM_FAULT_SIGBUS;
	page = vmalloc_to_page(memory + (vmf->pgoff << PAGE_SHIFT));
	get_page(page);
	vmf->page = page;
	return 0;
}

/* @flags are RWF_*. Nothing polls for requests of AIO. */
int ext_kiocb_set_rw_flags(struct kiocb *iocb, int flags, bool write)
{
	int err = kiocb_set_rw_flags(iocb, (__force rwf_t)flags,
				     write ? WRITE : READ);

	iocb->ki_flags &= ~IOCB_HIPRI;
	return err;
}

/* As ioprio_check_cap(), which is not exported. */
int ext_ioprio_check(int ioprio)
{
	switch (IOPRIO_PRIO_CLASS(ioprio)) {
	case IOPRIO_CLASS_RT:
		return capable(CAP_SYS_ADMIN) || capable(CAP_SYS_NICE) ?
			       0 : -EPERM;
	case IOPRIO_CLASS_BE:
	case IOPRIO_CLASS_IDLE:
		return 0;
	case IOPRIO_CLASS_NONE:
		return IOPRIO_PRIO_LEVEL(ioprio) ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

bool ext_file_is_regular(const struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode);
}

/* Call the function of the file that reads or writes. */
ssize_t ext_call_iter(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	const struct file_operations *fop = iocb->ki_filp->f_op;

	return write ? fop->write_iter(iocb, iter) : fop->read_iter(iocb, iter);
}

void ext_eventfd_signal(struct eventfd_ctx *eventfd)
{
	eventfd_signal(eventfd);
}

/* Sync @file, or its data only, with the rights of @cred. */
int ext_vfs_fsync_as(const struct cred *cred, struct file *file, bool data)
{
	scoped_with_creds(cred)
		return vfs_fsync(file, data);
}

const struct cred *ext_get_current_cred(void)
{
	return get_current_cred();
}

/* Read a file from its beginning, with the rights of the task that opened it. */
ssize_t ext_read_as_opener(struct file *file, void *to, size_t len)
{
	loff_t pos = 0;

	scoped_with_creds(file->f_cred)
		return kernel_read(file, to, len, &pos);
}

/* Convert a struct __kernel_timespec of user space. Negative ones are none. */
int ext_get_timeout(const void __user *from, s64 *ns)
{
	struct timespec64 ts;

	if (get_timespec64(&ts, from))
		return -EFAULT;
	*ns = timespec64_to_ktime(ts);
	return 0;
}

/*
 * Block the signals of @mask, of @size bytes, in place of those that the task
 * blocks. ext_restore_sigmask() must follow.
 */
int ext_set_user_sigmask(const void __user *mask, size_t size)
{
	sigset_t set;

	if (size != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, mask, sizeof(set)))
		return -EFAULT;
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	current->saved_sigmask = current->blocked;
	set_restore_sigmask();
	sigprocmask(SIG_SETMASK, &set, NULL);
	return 0;
}

/*
 * Block those signals again that the task blocked before, unless it has been
 * interrupted: the handler of the signal runs first, and the kernel restores them
 * then.
 */
void ext_restore_sigmask(bool interrupted)
{
	if (!interrupted && test_and_clear_restore_sigmask())
		sigprocmask(SIG_SETMASK, &current->saved_sigmask, NULL);
}
