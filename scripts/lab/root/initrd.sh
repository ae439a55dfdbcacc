#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# initrd.sh RELEASE FILE: makes an initrd that mounts the root by 9p, for a kernel that has 9p as a
# module. Runs in the root, with that kernel's modules mounted.

set -euo pipefail

release=$1
file=$2
tree=$(mktemp -d)

mkdir -p "$tree"/{bin,modules,proc,root}
cp /usr/bin/busybox "$tree/bin/"
number=10
for name in 9p 9pnet_virtio; do
	modprobe --set-version "$release" --show-depends "$name"
done | sed -n 's/^insmod //p' | while read -r module; do
	xz --decompress --force --stdout "$module" >"$tree/modules/$number-$(basename "$module" .xz)"
	number=$((number + 1))
done
cp "$(dirname "$0")/../initrd/init.sh" "$tree/init"
(cd "$tree" && find . | cpio --quiet --create --format=newc) >"$file"
