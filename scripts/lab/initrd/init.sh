#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0
#
# First process in the initrd that initrd.sh makes. The names of the modules sort in the order of
# their dependencies; some modules occur twice.

for module in /modules/*; do
	/bin/busybox insmod "$module" 2>/dev/null
done
/bin/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root9p /root ||
	exec /bin/busybox poweroff -f
exec /bin/busybox switch_root /root /src/scripts/lab/guest/init.sh
