# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# How a kernel of our own is configured and built. Sourced after lib.sh, by those who set SOURCE, the
# source tree, and FRAGMENTS, the pieces of its configuration. The objects go to usr/src/linux-test in
# the folder that each function is told.

OBJ=/usr/src/linux-test
MAKE=(make -C /usr/src/linux "O=$OBJ" ARCH=x86_64 LLVM=-19 KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab)

# in_tree DIR CMD...: in the root, with the source and the objects in DIR
in_tree() {
	local dir=$1
	shift
	in_root --bind "$dir/usr/src:/usr/src:rw" --bind "$SOURCE:/usr/src/linux" "$@"
}

configure() {
	local dir=$1
	mkdir -p "$dir/usr/src/linux" "$dir/usr/src/linux-test"
	cat "${FRAGMENTS[@]}" >"$dir/usr/src/linux-test/fragment"
	in_tree "$dir" --env "KCONFIG_ALLCONFIG=$OBJ/fragment" "${MAKE[@]}" allnoconfig
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
	done < <(cat "${FRAGMENTS[@]}")
	return "$lost"
}

build() {
	in_tree "$1" "${MAKE[@]}" -j"$(nproc)" bzImage modules
}
