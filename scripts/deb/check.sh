#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: installs the packages beside this file in a fresh Debian, uses them on /dev/vdc, and removes
# them again. Says on the console how it ended.

set -eux

here=$(dirname "$0")
disk=/dev/vdc
release=$(uname -r)

# state FILE: writes what there is of packages and files
state() {
	{
		dpkg --get-selections
		find /usr /etc /srv /opt -xdev ! -name '__pycache__' ! -name '*.pyc' | sort
		cksum /usr/lib/modules/"$release"/modules.*
	} >"$1"
}

# io FILE: writes and verifies
io() {
	fio --name=check --filename="$1" --direct=1 --rw=randwrite --bs=4k --size=4M --ioengine=libaio \
		--iodepth=8 --verify=crc32c
}

end() {
	status=$?
	dmesg | grep -E 'rnull_dio|BUG|Oops' || true
	[ "$status" -ne 0 ] || echo 'deb-check: passed'
	exit "$status"
}
trap end EXIT

mount -o remount,rw /
state /run/before
apt-get install -y --no-install-recommends "$here"/*.deb
test -s /usr/share/man/man8/mkfs.diofs.8.gz
test -s /usr/share/man/man8/rnull-dio.8.gz
bash -c '. /usr/share/bash-completion/completions/rnull-dio && complete -p rnull-dio'

modprobe rnull_dio
mkfs.xfs -q "$disk"
mount "$disk" /srv
rnull-dio attach /srv
io /srv/file
rnull-dio status
rnull-dio detach /srv
umount /srv

mkfs.diofs --force "$disk"
mount -t diofs "$disk" /srv
io /srv/data
umount /srv

rmmod rnull_dio
apt-get remove -y rnull-dio "rnull-dio-modules-$release"
if modinfo rnull_dio; then exit 1; fi
apt-get purge -y rnull-dio "rnull-dio-modules-$release"
test ! -e /usr/lib/rnull-dio
state /run/after
diff -u /run/before /run/after
