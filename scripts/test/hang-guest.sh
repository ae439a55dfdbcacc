#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What hang.sh runs in a guest: a module that keeps i_dio_count for requests which it hands over, and
# a task that waits for its own writes. It must come to hang, and hang where it is expected to.

set -eu

PATIENCE=30

insmod /build/keep_dio_count/rnull_dio.ko
disk=/sys/kernel/config/rnull_dio/nulldisk
mkdir $disk
for setting in size=64 memory_backed=1 irqmode=2 completion_nsec=200000 power=1; do
	echo "${setting#*=}" >"$disk/${setting%=*}"
done
/src/scripts/mkfs.diofs /dev/nulldisk
mount -t diofs -o completion=defer /dev/nulldisk /mnt
/build/samples/deadlock --rounds=100000 /mnt/data &
task=$!

begin=$(date +%s%N)
until grep -q -w inode_dio_wait "/proc/$task/stack"; do
	if [ $(($(date +%s%N) - begin)) -gt ${PATIENCE}000000000 ]; then
		echo "no deadlock in $PATIENCE s" >&2
		exit 1
	fi
	sleep 0.2
done
# It may have been about to go on.
sleep 2
grep -w inode_dio_wait "/proc/$task/stack"
echo "deadlock within $((($(date +%s%N) - begin) / 1000000 - 2000)) ms"
