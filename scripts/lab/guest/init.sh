#!/usr/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest's first process. Starts few programs, because each is slow under emulation with a debugging
# kernel.

export PATH=/usr/sbin:/usr/bin HOME=/root TERM=linux LANG=C.UTF-8
# The package guest is in the checkout.
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/src

mount() {
	busybox mount "$@"
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
busybox mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for dir in /dev/shm /tmp /run /mnt /var/tmp; do
	mount -t tmpfs tmpfs "$dir"
done
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
for share in out results; do
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 $share /$share
done
busybox ln -s /proc/self/fd /dev/fd
busybox ip link set lo up 2>/dev/null
busybox hostname guest
busybox grep -qw nvme /proc/devices || modprobe nvme
modprobe configfs
mount -t configfs configfs /sys/kernel/config
ulimit -l unlimited
cd /src || exit

case $(busybox cat /proc/cmdline) in
*lab.shell*)
	. /src/scripts/lab/guest/init-shell.sh
	;;
*)
	echo 'lab: begin' >/dev/kmsg
	bash /out/command </dev/null >"$(echo /dev/vport*p1)" 2>&1
	echo $? >/out/status
	;;
esac
busybox sync
busybox poweroff -f
