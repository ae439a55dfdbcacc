#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# enter.sh ROOT SRC [--bind FROM:TO[:rw]]... [--env NAME=VALUE]... -- CMD...
#
# The inside of in_root() in lib.sh: the first process of a new mount and PID namespace. Mounts what
# the root needs and runs CMD in it. When this process ends, so do all others in the namespace, and
# the mounts go with them.

set -euo pipefail

# bind FROM TO [rw]
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
env=(PATH=/usr/sbin:/usr/bin HOME=/tmp "TERM=${TERM:-dumb}" LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1)
while [ "$1" != -- ]; do
	case $1 in
	--bind)
		IFS=: read -r from to mode <<<"$2"
		bind "$from" "$root$to" "$mode"
		;;
	--env) env+=("$2") ;;
	esac
	shift 2
done
shift

# Not exec: a shell as the first process reaps what others leave behind.
env -i "${env[@]}" chroot "$root" /usr/bin/env --chdir=/src "$@"
