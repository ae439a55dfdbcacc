/* SPDX-License-Identifier: GPL-2.0 */
/* C shims for rust/kernel_ext/compat/, which 7.3 does not need. */
#ifndef RNULL_DIO_COMPAT_H
#define RNULL_DIO_COMPAT_H

#include <linux/spinlock.h>

unsigned long ext_spin_lock_irqsave(spinlock_t *lock);
bool ext_spin_trylock_irqsave(spinlock_t *lock, unsigned long *flags);
void ext_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);

#endif /* RNULL_DIO_COMPAT_H */
