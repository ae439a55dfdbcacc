#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# tree.sh NAME DIR: builds the kernel NAME, see lib/tree.sh, from the source tree DIR, in the cache. The
# tree is mounted read-only. The objects stay, so that the next build compiles what has changed. The
# layout is that of kernel.sh, and these are beside it:
#   source    the path of the tree
#   commit    what is checked out in it, with a plus sign if there are changes
#   fragment  the configuration, beside allnoconfig
#   hidden/   whiteouts for what was built in the tree, if there is any

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/kbuild.sh
. "$LAB/lib/kbuild.sh"
# shellcheck source=scripts/lab/lib/error.sh
. "$LAB/lib/error.sh"

# A variable that is set keeps setlocalversion from looking for a commit. With another release after
# each commit, every module would be built again.
MAKE+=(LOCALVERSION=)

# Without optional locks, because git would refresh the tree's index
git_tree() {
	git --no-optional-locks -c safe.directory="$SOURCE" -C "$SOURCE" "$@" 2>/dev/null
}

commit() {
	local commit
	commit=$(git_tree rev-parse --short=12 HEAD) || commit=unknown
	[ "$commit" = unknown ] || git_tree diff --quiet HEAD || commit+=+
	echo "$commit"
}

# is_clean: returns whether kbuild takes the tree as it is
is_clean() {
	[ ! -e "$SOURCE/.config" ] && [ ! -d "$SOURCE/include/config" ] &&
		[ ! -d "$SOURCE/arch/x86/include/generated" ]
}

# check_tree: ends the script if no kernel can be built from the tree
check_tree() {
	local version
	[ -f "$SOURCE/Kbuild" ] || die "$SOURCE: no kernel tree there"
	[[ $SOURCE != *[:,\\]* ]] || die "$SOURCE: a path with ':', ',' or '\\' cannot be mounted"
	version=$(sed -n 's/^\(VERSION\|PATCHLEVEL\) = //p' "$SOURCE/Makefile" | paste -sd.)
	[ "$(printf '%s\n' 7.2 "$version" | sort --version-sort | head -n 1)" = 7.2 ] ||
		die "$SOURCE: Linux $version; the module needs 7.2 or later"
	is_clean || git_tree rev-parse --git-dir >/dev/null ||
		die "$SOURCE: a kernel was built in it, and only git could say which files are not source;" \
			"run 'make mrproper' in it, or in a copy"
}

# hide: makes DIR/hidden, with a whiteout for each file that git ignores, if the tree is not clean. kbuild
# refuses such a tree, because make would find the objects there.
hide() {
	rm -rf "$DIR/hidden"
	! is_clean || return 0
	git_tree ls-files -z --others --ignored --exclude-standard --directory >"$DIR/built"
	in_root --bind "$DIR:/out:rw" python3 scripts/lab/root/whiteouts.py /out/built /out/hidden
}

# join FRAGMENT...: prints the fragments as one, in which the last value of an option counts
join() {
	sed -E 's/^# (CONFIG_\w+) is not set$/\1=n/' "$@" | grep '^CONFIG_' |
		tac | awk -F= '!seen[$1]++' | tac
}

# In place of kbuild.sh's, because that does not hide anything
in_tree() {
	shift
	source_bind "$DIR" "$SOURCE"
	in_root --bind "$DIR/usr/src:/usr/src:rw" "${BIND[@]}" "$@"
}

set_options() {
	mkdir -p "$DIR/usr/src/linux" "$DIR/usr/src/linux-test"
	cp "${FRAGMENTS[0]}" "$DIR/usr/src/linux-test/fragment"
	in_tree "$DIR" --env "KCONFIG_ALLCONFIG=$OBJ/fragment" "${MAKE[@]}" allnoconfig
}

# check_options: reports the options that the tree does not have, or whose dependencies are not met
check_options() {
	local lost
	lost=$(check_fragment "$DIR/usr/src/linux-test/.config" | sed 's/.*: //' | paste -sd' ') || true
	[ -z "$lost" ] || say "note: $SOURCE does not take $lost"
	[[ " $lost " != *' CONFIG_RUST=y '* ]] ||
		die "$SOURCE: it does not support Rust with the lab's compilers and this configuration"
}

install_kernel() {
	local obj=$DIR/usr/src/linux-test
	rm -rf "$DIR/usr/lib/modules"
	mkdir -p "$DIR/usr/lib/modules" "$DIR/boot"
	in_tree "$DIR" --bind "$DIR:/out:rw" "${MAKE[@]}" -s INSTALL_MOD_PATH=/out/usr modules_install
	cp "$obj/arch/x86/boot/bzImage" "$DIR/boot/vmlinuz"
	cp "$obj/include/config/kernel.release" "$DIR/release"
	echo "$OBJ" >"$DIR/kdir"
}

[ $# -eq 2 ] || die "usage: tree.sh NAME DIR"
SOURCE=$2
DIR=$(kernel_dir "$1")
need_root
check_tree
case $1 in
*-test) FRAGMENTS=("$LAB/config/debug.config") ;;
*) FRAGMENTS=("$LAB/config/filesystems.config") ;;
esac
lab root >/dev/null
mkdir -p "$DIR"
join "$LAB/config/machine.config" "${FRAGMENTS[@]}" ${CONFIG:+"$CONFIG"} >"$DIR/fragment"
FRAGMENTS=("$DIR/fragment")
echo "$SOURCE" >"$DIR/source"
commit >"$DIR/commit"
hide
build_step "$SOURCE" "$1-config" "Configuration for $SOURCE" set_options
check_options
build_step "$SOURCE" "$1-build" "The kernel of $SOURCE (about 15 minutes the first time)" build "$DIR"
build_step "$SOURCE" "$1-install" "Its modules" install_kernel
