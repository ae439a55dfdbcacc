# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The series of Debian's kernels that a command uses. Sourced by lib.sh.

# KERNEL=7.2 selects the newest 7.2 that the archive has, KERNEL=7.2.9 that one, in every script that
# this one starts. Other values of KERNEL are for the script.
case ${KERNEL:-} in
[0-9]*)
	LAB_SERIES=$KERNEL
	unset KERNEL
	;;
esac
export LAB_SERIES=${LAB_SERIES:-$KERNEL_SERIES}

# series_suffix: prints what the names of things have that belong to another series than the usual one
series_suffix() {
	[ "$LAB_SERIES" = "$KERNEL_SERIES" ] || echo "-$LAB_SERIES"
}
