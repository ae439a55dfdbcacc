# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Configuring and building a kernel. Sourced after lib.sh, by scripts that set SOURCE, the source tree,
# and FRAGMENTS, the parts of its configuration. Each function has a folder as an argument, and the
# objects are in usr/src/linux-test below it.

OBJ=/usr/src/linux-test
MAKE=(make -C /usr/src/linux "O=$OBJ" ARCH=x86_64 LLVM=-19 KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab)

# in_tree DIR CMD...: runs CMD in the root, with the source and the objects in DIR
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

# Fails if Kconfig has dropped an option, which it does silently if a dependency is missing.
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
