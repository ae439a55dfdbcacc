#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh [test|patched|plain|plain-first|plain-patched]: builds a kernel; prints its path. The test
# kernel has KUnit, KASAN, lockdep and other debugging aids, see debug.config; the patched kernel also
# has the patches in patches/. The plain kernels are for measurements, without patches, with the first
# one, and with all. The layout is that of stock.sh; in_root() also mounts the source, which modules are
# built with.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/kbuild.sh
. "$LAB/lib/kbuild.sh"

NAME=${1:-test}
FRAGMENTS=("$LAB/config/machine.config")
INGREDIENTS=()

# install_kernel DIR: keeps what modules are built with, and removes the objects that are linked into
# the kernel
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
	SOURCE=$(kernel_source "$NAME")
	step kernel-config "Configuration of the $NAME kernel" configure "$1"
	step kernel-build "The $NAME kernel (about 15 minutes)" build "$1"
	step kernel-install "Its modules" install_kernel "$1"
}

case $NAME in
test) FRAGMENTS+=("$LAB/config/debug.config") ;;
patched) FRAGMENTS+=("$LAB/config/debug.config" "$LAB/config/filesystems.config") ;;
plain | plain-first | plain-patched) FRAGMENTS+=("$LAB/config/filesystems.config") ;;
*) die "no such kernel: $NAME (test, patched, plain, plain-first, plain-patched)" ;;
esac
case $NAME in
*patched) INGREDIENTS=("${PATCHES[@]}") ;;
*first) INGREDIENTS=("${PATCHES[0]}") ;;
esac
version=$(<"$(lab kernel-source --debs)/version")
artefact "kernel-$NAME" "$(key "$LAB"/{host/kernel,lib/kbuild}.sh "${FRAGMENTS[@]}" "${INGREDIENTS[@]}" \
	"$version" "$(lab root --toolchain)")" make_kernel
echo "$ARTEFACT"
