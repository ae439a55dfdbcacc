#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# module.sh KERNEL [MISTAKE]: builds the module for a kernel; prints the path of the .ko. In the root and
# in guests it is at /build/rnull_dio.ko. With a MISTAKE (DIO_CFG, see Kbuild), builds a module that is
# broken on purpose, at /build/MISTAKE/rnull_dio.ko.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/error.sh
. "$LAB/lib/error.sh"

[ $# -ge 1 ] || die "usage: module.sh KERNEL [MISTAKE]"
kernel=$1
mistake=${2:-}

# clean_if_other BUILD KERNEL-DIR: removes the objects of another kernel, or of another build of it
clean_if_other() {
	local build=$1 kernel_dir=$2
	[ "$(cat "$build/.kernel" 2>/dev/null)" != "$kernel_dir" ] || return 0
	rm -rf "$build"
	mkdir -p "$build"
	echo "$kernel_dir" >"$build/.kernel"
}

build() {
	in_root --kernel "$kernel" --bind "$build:/build:rw" \
		make -C "$(<"$dir/kdir")" "${ARGS[@]}" M=/src MO="/build$subdir" DIO_CFG="$mistake" \
		-j"$(nproc)" modules
}

dir=$(kernel_dir "$kernel")
ARGS=()
[ "$kernel" = stock ] || ARGS=(LLVM=-19)
need_root
build=$(build_dir "$kernel")
subdir=${mistake:+/$mistake}
mkdir -p "$build$subdir"
exec {lock}>"$build.lock"
lock_wait "$lock" "the module for the $kernel kernel"
clean_if_other "$build" "$dir"
mkdir -p "$build$subdir"
LAB_TAIL=60 build_step "the module does not compile for the $kernel kernel" \
	"module-$kernel${mistake:+-$mistake}" \
	"Module for the $kernel kernel${mistake:+, with $mistake}" build
[ -f "$build$subdir/rnull_dio.ko" ] || die "the build made no rnull_dio.ko"
echo "$build$subdir/rnull_dio.ko"
