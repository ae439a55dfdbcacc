#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
#
# The first process in the initrd that initrd.sh makes. The modules are named so that they sort in
# the order in which they depend on each other; some occur twice.

for module in /modules/*; do
	/bin/busybox insmod "$module" 2>/dev/null
done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root9p /root ||
	exec /bin/busybox poweroff -f
exec /bin/busybox switch_root /root /src/scripts/lab/init.sh
