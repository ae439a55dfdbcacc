#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb-check.sh: makes the packages, and tries them in a guest that is booted from the disk of a fresh Debian
# with the stock kernel, see deb/check.sh. Nothing of the lab is in it.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

PASSED='deb-check: passed'
# QEMU's default CPU with what the checksums of file systems use
CPU=qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2

# The guest finds the packages and check.sh on its second disk, and an empty disk beside it.
make_disks() {
	rm -rf "$work/in"
	mkdir -p "$work/in"
	cp "${packages[@]}" "$SRC/scripts/deb/check.sh" "$work/in/"
	in_root --bind "$work:/out:rw" mke2fs -q -F -t ext4 -d /out/in /out/packages 64M
	rm -f "$work/empty"
	truncate --size 512M "$work/empty"
}

guest() {
	local run="systemd.run=\"/bin/sh -c 'mount -o ro /dev/vdb /mnt && exec sh /mnt/check.sh'\""
	in_root --bind "$image:/boot" --bind "$work:/out:rw" --env TMPDIR=/out \
		timeout --foreground 1200 qemu-system-x86_64 -machine q35 -cpu "$CPU" -accel tcg -smp 2 -m 2G \
		-nodefaults -no-reboot -display none -serial file:/out/console \
		-kernel /boot/vmlinuz -initrd /boot/initrd \
		-drive file=/boot/disk,if=virtio,format=raw,snapshot=on \
		-drive file=/out/packages,if=virtio,format=raw \
		-drive file=/out/empty,if=virtio,format=raw,cache=unsafe \
		-append "root=/dev/vda rw console=ttyS0 mitigations=off $run \
			systemd.run_success_action=poweroff systemd.run_failure_action=poweroff" || true
	cat "$work/console"
	grep -q -a "$PASSED" "$work/console"
}

need_root
mapfile -t packages < <("$SRC/scripts/deb.sh")
[ "${#packages[@]}" -gt 0 ] || die "there are no packages"
image=$(lab deb-image)
work=$(build_dir deb-check)
make_disks
LAB_TAIL=60 step deb-check "Packages in a fresh Debian" guest
say "installed, used and removed: ${packages[*]##*/}"
