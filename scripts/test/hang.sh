#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs in a guest. Loads a module that keeps i_dio_count for requests that it hands over, and runs a task
# that waits for its own writes. The task must hang in inode_dio_wait().

set -eu

PATIENCE=30

insmod /build/keep_dio_count/rnull_dio.ko
disk=/sys/kernel/config/rnull_dio/nulldisk
mkdir $disk
for setting in size=64 memory_backed=1 irqmode=2 completion_nsec=200000 power=1; do
	echo "${setting#*=}" >"$disk/${setting%=*}"
done
/src/tools/mkfs.diofs /dev/nulldisk
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
# A task that only passed by has left the function by now.
sleep 2
grep -w inode_dio_wait "/proc/$task/stack"
echo "deadlock within $((($(date +%s%N) - begin) / 1000000 - 2000)) ms"
