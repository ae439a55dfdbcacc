#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-tree.sh KDIR RUSTC: fails if no Rust module can be built with a kernel tree; prints the reason.

set -euo pipefail

kdir=$1
rustc=$2

refuse() {
	echo "KDIR=$kdir: $*" >&2
	exit 1
}

[ -f "$kdir/Makefile" ] || refuse "no kernel tree there; name a prepared one, or try 'make help'"
config=$kdir/include/config/auto.conf
[ -f "$config" ] || refuse "the tree is not prepared; run 'make modules_prepare' in it"
grep -q '^CONFIG_RUST=y' "$config" || refuse "the kernel is configured without CONFIG_RUST"
[ -f "$kdir/rust/libkernel.rmeta" ] ||
	refuse "no Rust metadata (rust/libkernel.rmeta): Debian's header packages lack it, see README"
built_by=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$config")
version=$("$rustc" --version 2>/dev/null) || refuse "no Rust compiler '$rustc' here; set RUSTC="
[ "$version" = "$built_by" ] || refuse "built by '$built_by', but $rustc is '$version'"
