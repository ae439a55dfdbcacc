#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel.sh: makes sure that our test kernel is there (KUnit, KASAN, lockdep and the like, see
# test.config); prints its path. The layout is that of stock.sh; the source, which modules are
# built with as well, is mounted by in_root().

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lib.sh"

FRAGMENT=$LAB/test.config
OBJ=/usr/src/linux-test
MAKE=(make -C /usr/src/linux "O=$OBJ" ARCH=x86_64 LLVM=-19 KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab)

# in_tree DIR CMD...: with the kernel in DIR mounted for writing
in_tree() {
	local dir=$1
	shift
	in_root --bind "$dir/usr/src:/usr/src:rw" --bind "$(lab source):/usr/src/linux" "$@"
}

configure() {
	local dir=$1
	in_tree "$dir" --env "KCONFIG_ALLCONFIG=/src/scripts/lab/test.config" "${MAKE[@]}" allnoconfig
	check_fragment "$dir/usr/src/linux-test/.config"
}

# Kconfig drops without a word what depends on something else; we want to know.
check_fragment() {
	local config=$1 line name lost=0
	while read -r line; do
		name=${line%%=*}
		case $line in
		CONFIG_*=n) ! grep -q "^$name=" "$config" && continue ;;
		CONFIG_*) grep -qxF "$line" "$config" && continue ;;
		*) continue ;;
		esac
		echo "not in the resulting configuration: $line"
		lost=1
	done <"$FRAGMENT"
	return "$lost"
}

build() {
	in_tree "$1" "${MAKE[@]}" -j"$(nproc)" bzImage modules
}

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
	mkdir -p "$1/usr/src/linux" "$1/usr/src/linux-test" "$1/usr/lib/modules"
	step kernel-config "Configuration of the test kernel" configure "$1"
	step kernel-build "Test kernel (about 15 minutes)" build "$1"
	step kernel-install "Its modules" install_kernel "$1"
}

version=$(<"$(lab source --debs)/version")
artefact kernel "$(key "$LAB/kernel.sh" "$FRAGMENT" "$version" "$(lab root --toolchain)")" make_kernel
echo "$ARTEFACT"
