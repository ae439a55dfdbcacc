#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# hang.sh MISTAKE FILE-SYSTEM FUNCTION [OPTION]...: runs in a guest. Loads a module with that mistake,
# and runs samples/deadlock with the OPTIONs on diofs or on an attached ext4, with the module's AIO. The
# program must hang in FUNCTION.

set -eu

PATIENCE=30

mistake=$1
filesystem=$2
function=$3
shift 3

make_diofs() {
	/src/tools/mkfs.diofs /dev/nulldisk
	mount -t diofs -o completion=defer /dev/nulldisk /mnt
}

make_ext4() {
	mkfs.ext4 -q /dev/nulldisk
	mount /dev/nulldisk /mnt
	dd if=/dev/zero of=/mnt/data bs=128K count=1 conv=fsync status=none
	/src/tools/rnull-dio attach --completion=defer /mnt
	/src/tools/rnull-dio aio on
}

insmod "/build/$mistake/rnull_dio.ko"
disk=/sys/kernel/config/rnull_dio/nulldisk
mkdir $disk
for setting in size=64 memory_backed=1 irqmode=2 completion_nsec=200000 poll_queues=1 power=1; do
	echo "${setting#*=}" >"$disk/${setting%=*}"
done
"make_$filesystem"
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
