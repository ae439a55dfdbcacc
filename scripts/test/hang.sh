#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# hang.sh MISTAKE FUNCTION [OPTION]...: runs in a guest. Loads a module with that mistake, which keeps
# something for requests that wait for a task, and runs samples/deadlock with the OPTIONs. The program
# must hang in FUNCTION.

set -eu

PATIENCE=30

mistake=$1
function=$2
shift 2
insmod "/build/$mistake/rnull_dio.ko"
disk=/sys/kernel/config/rnull_dio/nulldisk
mkdir $disk
for setting in size=64 memory_backed=1 irqmode=2 completion_nsec=200000 poll_queues=1 power=1; do
	echo "${setting#*=}" >"$disk/${setting%=*}"
done
/src/tools/mkfs.diofs /dev/nulldisk
mount -t diofs -o completion=defer /dev/nulldisk /mnt
/build/samples/deadlock --rounds=100000 "$@" /mnt/data &
task=$!

begin=$(date +%s%N)
until grep -q -w "$function" "/proc/$task/stack"; do
	if [ $(($(date +%s%N) - begin)) -gt ${PATIENCE}000000000 ]; then
		echo "no deadlock in $PATIENCE s" >&2
		exit 1
	fi
	sleep 0.2
done
# A task that only passed by has left the function by now.
sleep 2
grep -w "$function" "/proc/$task/stack"
echo "deadlock within $((($(date +%s%N) - begin) / 1000000 - 2000)) ms"
