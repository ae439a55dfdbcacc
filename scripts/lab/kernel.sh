#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh [test|patched|plain|plain-patched]: makes sure that a kernel of our own is there; prints its
# path. The test kernel has KUnit, KASAN, lockdep and the like, see debug.config; the patched one has
# the patches in patches/ as well. The plain ones are for measurements. The layout is that of stock.sh;
# the source, which modules are built with as well, is mounted by in_root().

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lab/kbuild.sh
. "$LAB/kbuild.sh"

NAME=${1:-test}
FRAGMENTS=("$LAB/machine.config")
SOURCE_ARGS=()
INGREDIENTS=()

# Everything of the object tree that modules are built with stays, what is linked into the kernel
# goes.
install_kernel() {
	local dir=$1 obj=$1/usr/src/linux-test release
	release=$(<"$obj/include/config/kernel.release")
	in_tree "$dir" --bind "$dir:/out:rw" "${MAKE[@]}" -s INSTALL_MOD_PATH=/out/usr modules_install
	mkdir "$dir/boot"
	cp "$obj/arch/x86/boot/bzImage" "$dir/boot/vmlinuz"
	cp "$obj/vmlinux" "$dir/boot/vmlinux"
	find "$obj" \( -name '*.o' -o -name '*.a' -o -name '*.ko' \
		-o -name '.*.cmd' \) ! -path "$obj/scripts/*" ! -path "$obj/tools/*" -delete
	rm -f "$obj"/vmlinux* "$obj"/.tmp_vmlinux*
	echo "$release" >"$dir/release"
	echo "$OBJ" >"$dir/kdir"
}

make_kernel() {
	mkdir -p "$1/usr/lib/modules"
	SOURCE=$(lab source "${SOURCE_ARGS[@]}")
	step kernel-config "Configuration of the $NAME kernel" configure "$1"
	step kernel-build "The $NAME kernel (about 15 minutes)" build "$1"
	step kernel-install "Its modules" install_kernel "$1"
}

case $NAME in
test) FRAGMENTS+=("$LAB/debug.config") ;;
patched) FRAGMENTS+=("$LAB/debug.config" "$LAB/filesystems.config") ;;
plain | plain-patched) FRAGMENTS+=("$LAB/filesystems.config") ;;
*) die "no such kernel: $NAME (test, patched, plain, plain-patched)" ;;
esac
case $NAME in
*patched) SOURCE_ARGS=(--patched) INGREDIENTS=("${PATCHES[@]}") ;;
esac
version=$(<"$(lab source --debs)/version")
artefact "kernel-$NAME" "$(key "$LAB"/{kernel,kbuild}.sh "${FRAGMENTS[@]}" "${INGREDIENTS[@]}" \
	"$version" "$(lab root --toolchain)")" make_kernel
echo "$ARTEFACT"
