#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Complaints in a kernel log. Sourced after lib.sh.

# The first words of the kernel's reports of errors
COMPLAINTS=(
	'BUG:' 'kernel BUG at' 'WARNING:' 'Oops' 'Kernel panic'
	'general protection fault' 'stack segment fault' 'invalid opcode:' 'stack guard page was hit'
	'INFO: possible' 'INFO: trying to register non-static key' 'INFO: task .* blocked'
	'INFO: lockdep' 'DEBUG_LOCKS_WARN_ON' 'Invalid wait context' 'held lock freed'
	'lock held when returning' 'suspicious RCU usage' 'inconsistent lock state'
	'KASAN:' 'KFENCE:' 'KCSAN:' 'UBSAN:' 'ODEBUG:' 'DMA-API:' 'ASSERTION FAILED'
	'scheduling while atomic' 'sleeping function called' 'workqueue: .* leaked lock'
	'BUG workqueue' 'hogged CPU'
	'rcu.*detected stalls' 'rcu.*self-detected stall' 'rcu.*kthread starved' 'rcu.*expedited stalls'
	'soft lockup' 'hard LOCKUP' 'hung_task: blocked tasks'
	'unreferenced object' 'new suspected memory leaks'
	'refcount_t:' 'list_add corruption' 'list_del corruption' 'corrupted list' 'double free'
	'Slab corruption' 'Object already free' 'Poison overwritten' 'Redzone overwritten' 'Bad page state'
	'page allocation failure' 'Out of memory' 'oom-kill'
	'rust_kernel: panicked' 'panicked at' 'overflow detected'
	'sysfs: cannot create duplicate' 'kobject: .* tried to init' 'debugfs: .* already present'
	'VFS: Busy inodes after unmount' 'Unable to handle' 'unable to handle'
)

# complaints LOG [EXPECTED]: prints the complaints in LOG that do not match EXPECTED
complaints() {
	tr -d '\r\0' <"$1" | grep -a -v -E -e "${2:-^$}" |
		grep -a -E -e "$(IFS='|' && echo "${COMPLAINTS[*]}")" || true
}

# gate LOG [EXPECTED]: returns whether LOG has no complaints, and a line that matches EXPECTED if given
gate() {
	local log=$1 expected=${2:-} found
	found=$(complaints "$log" "$expected")
	if [ -n "$found" ]; then
		say "the kernel's log has complaints (log: $log):"
		head -n 10 <<<"$found" | sed 's/^/    /' >&2
		return 1
	fi
	if [ -n "$expected" ] && ! grep -a -q -E -e "$expected" "$log"; then
		say "the kernel's log lacks what was expected: $expected (log: $log)"
		return 1
	fi
}

# stale_breakpoint LOG [EXPECTED]: returns whether the first complaint in LOG is a mistake of QEMU's. The
# kernel puts breakpoints (int3, 0xcc) where it changes its code. QEMU may keep its translation of one
# that another CPU has replaced meanwhile. Then the kernel gets a trap whose instruction, the byte before
# RIP, is no breakpoint.
stale_breakpoint() {
	local found code
	found=$(complaints "$@")
	[[ ${found%%$'\n'*} == *'Oops: int3:'* ]] || return 1
	code=$(tr -d '\r\0' <"$1" | sed '0,/Oops: int3:/d' | sed -n 's/.*Code: \([0-9a-f ]*\)<.*/\1/p')
	code=${code%%$'\n'*}
	[ -n "$code" ] && [[ $code != *'cc ' ]]
}
