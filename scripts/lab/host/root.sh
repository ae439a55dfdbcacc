#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# root.sh [--toolchain]: makes the Debian root, in which everything is built and run; prints its path,
# or the identity of the compilers in it.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

# Mount points of in_root() and of the guests
MOUNT_POINTS=(src build results out boot usr/src usr/lib/modules)

packages() {
	sed 's/#.*//' "$LAB/config/packages" | xargs | tr ' ' ,
}

install_mmdebstrap() {
	apt_install mmdebstrap
}

# bootstrap ROOT MIRROR
bootstrap() {
	local opts=()
	mapfile -t opts < <(apt_host_options | sed 's/^/--aptopt=/')
	opts+=(--aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*'
		--dpkgopt='path-exclude=/usr/share/locale/*')
	mmdebstrap --variant=apt --architectures=amd64 "${opts[@]}" --include="$(packages)" \
		"$SUITE" "$1" "$2"
}

# A kernel's files are mounted at /usr/src, so that the files there have to move.
move_rust_source() {
	local lib=$1/usr/lib/rustlib/src/rust
	rm "$lib"
	mv "$1"/usr/src/rustc-* "$lib"
}

finish() {
	local root=$1
	move_rust_source "$root"
	(cd "$root" && mkdir -p "${MOUNT_POINTS[@]}")
	: >"$root/etc/resolv.conf"
	chroot "$root" dpkg-query --show rustc rust-src bindgen gcc-14 clang-19 lld-19 llvm-19 pahole \
		>"$root/etc/rnull-dio-toolchain"
}

make_root() {
	local mirror
	command -v mmdebstrap >/dev/null || step mmdebstrap "Installing mmdebstrap on this machine" \
		install_mmdebstrap
	mirror=$(apt_mirror)
	step root "Debian root ($SUITE, about 2 minutes)" bootstrap "$1" "$mirror"
	finish "$1"
}

artefact root "$(key "$LAB/config/packages" "$LAB/host/root.sh" "$SUITE")" make_root
case ${1:-} in
--toolchain) key "$ARTEFACT/etc/rnull-dio-toolchain" ;;
*) echo "$ARTEFACT" ;;
esac
