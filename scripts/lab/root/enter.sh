#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# enter.sh ROOT SRC [--bind FROM:TO[:rw]]... [--overlay UPPER:LOWER:TO]... [--env NAME=VALUE]... -- CMD...
#
# The part of in_root() that is the first process of a new mount and PID namespace. Mounts what the root
# needs and runs CMD in it. When this process exits, the kernel kills all others in the namespace and
# unmounts everything.

set -euo pipefail

# bind FROM TO [rw]: bind-mounts FROM, read-only by default
bind() {
	mount --bind "$1" "$2"
	[ "${3:-ro}" = rw ] || mount -o remount,bind,ro "$2"
}

root=$1
src=$2
shift 2

bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
bind "$src" "$root/src"

[ -t 1 ] || TERM=dumb
env=(PATH=/usr/sbin:/usr/bin HOME=/tmp "TERM=${TERM:-dumb}" LANG=C.UTF-8
	PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/src)
while [ "$1" != -- ]; do
	case $1 in
	--bind)
		IFS=: read -r from to mode <<<"$2"
		bind "$from" "$root$to" "$mode"
		;;
	--overlay)
		IFS=: read -r upper lower to <<<"$2"
		mount -t overlay -o "ro,lowerdir=$upper:$lower" overlay "$root$to"
		;;
	--env) env+=("$2") ;;
	esac
	shift 2
done
shift

# Without exec, so that the first process is a shell, which reaps orphans.
env -i "${env[@]}" chroot "$root" /usr/bin/env --chdir=/src "$@"
