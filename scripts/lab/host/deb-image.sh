#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb-image.sh: makes a disk image with a fresh Debian and the stock kernel, as packages; prints the path
# of the folder, in which "disk" is the image, and "vmlinuz" and "initrd" are what is in its /boot.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

# fio and xfsprogs are what a user has, the rest is what makes it boot
PACKAGES=systemd-sysv,udev,kmod,python3,fio,xfsprogs,initramfs-tools,linux-base/$SUITE-backports
PACKAGES+=,linux-image-$(<"$(lab stock)/release")
SIZE=3G

make_disk() {
	local dir=$1
	rm -rf "$dir/debian/var/cache/apt"/*.bin "$dir/debian/var/lib/apt/lists"/*_*
	echo fresh >"$dir/debian/etc/hostname"
	cp "$dir"/debian/boot/vmlinuz-* "$dir/vmlinuz"
	cp "$dir"/debian/boot/initrd.img-* "$dir/initrd"
	in_root --bind "$dir:/out:rw" mke2fs -q -t ext4 -d /out/debian /out/disk "$SIZE"
	rm -r "$dir/debian"
}

make_image() {
	step deb-image "Fresh Debian with the stock kernel" debootstrap_into "$1/debian" "$PACKAGES"
	step deb-disk "Its disk" make_disk "$1"
}

lab root >/dev/null
artefact deb-image "$(key "$PACKAGES" "$SIZE" "$SUITE")" make_image
echo "$ARTEFACT"
