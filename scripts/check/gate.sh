#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# gate.sh: checks which logs show a mistake of QEMU's, according to stale_breakpoint().

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lab/lib.sh"
# shellcheck source=scripts/lab/boot/gate.sh
. "$LAB/boot/gate.sh"

OOPS='[    1.0] Oops: int3: 0000 [#1] SMP NOPTI'
REMOVED='[    1.1] Code: 90 f3 0f 1e fa 0f <1f> 44 00 00'
PRESENT='[    1.1] Code: 90 f3 0f 1e fa cc <1f> 44 00 00'
WARNING='[    0.9] WARNING: CPU: 0 PID: 1 at fs/iomap/direct-io.c:1'
OTHER='[    0.9] Code: 90 f3 0f 1e fa cc <1f> 44 00 00'

# shows LINE...: returns whether a log with these lines shows one
shows() {
	printf '%s\n' "$@" >"$log"
	stale_breakpoint "$log"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
shows "$OTHER" "$OOPS" "$REMOVED" "$PRESENT" || die "a breakpoint that had been removed is not found"
! shows "$OOPS" "$PRESENT" || die "a breakpoint that is there is said to have been removed"
! shows "$WARNING" "$OOPS" "$REMOVED" || die "an earlier complaint is not noticed"
! shows "$OOPS" || die "an Oops without code is said to be QEMU's"
! shows "$REMOVED" || die "a log without an Oops is said to show one"
