#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# export-patches.sh: writes the abstractions in rust/kernel_ext/, and the C that they need, as patches
# for the kernel tree TREE to the folder OUT, and checks that each leaves a kernel crate that builds
# without a warning. CHECK=0 leaves that out. TREE stays as it is.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/kbuild.sh
. "$LAB/kbuild.sh"

OUT=${OUT:-$SRC/export}
CHECK=${CHECK:-1}
WORK=$CACHE/export-patches
SERIES=$WORK/series
SOURCE=$WORK/source
FRAGMENTS=("$LAB/machine.config" "$LAB/filesystems.config" "$SRC/scripts/export/check.config")

check_tree() {
	[ -f "$TREE/init/Kconfig" ] || die "TREE=$TREE: this is no source tree of a kernel"
	[ -f "$TREE/rust/kernel/lib.rs" ] || die "TREE=$TREE: this kernel has no rust/kernel"
}

generate() {
	rm -rf "$WORK"
	mkdir -p "$SERIES"
	in_root --bind "$TREE:/usr/src" --bind "$SERIES:/out:rw" \
		/src/scripts/export/series.py /src /usr/src /out
}

# The folder of our own starts anew, as subjects may have changed. Any other may have somebody's patches.
prepare_out() {
	[ "$OUT" != "$SRC/export" ] || rm -rf "$OUT"
	[ -z "$(ls -A "$OUT" 2>/dev/null)" ] || die "OUT=$OUT: there is something in it"
	mkdir -p "$OUT"
}

# By hard links, if it is on the same file system: git makes new files of those that it changes.
copy_tree() {
	cp --archive --link --no-target-directory "$TREE" "$SOURCE" && return
	rm -rf "$SOURCE"
	cp --archive --no-target-directory "$TREE" "$SOURCE"
}

apply() {
	in_root --bind "$SOURCE:/out:rw" --bind "$SERIES:/usr/src" \
		git -C /out apply --verbose "/usr/src/$1"
}

# The first patch brings an option that the configuration has.
build_clean() {
	[ -f "$WORK$OBJ/.config" ] || configure "$WORK"
	in_tree "$WORK" "${MAKE[@]}" -j"$(nproc)" prepare 2>&1 | tee "$WORK/build.log"
	! grep -E '(warning|error):' "$WORK/build.log"
}

check_series() {
	local patch name
	step export-copy "Copy of the tree" copy_tree
	for patch in "$SERIES"/*.patch; do
		name=${patch##*/}
		step "apply-$name" "Application of $name" apply "$name"
		LAB_TAIL=60 step "build-$name" "The kernel crate with $name" build_clean
	done
}

need_root
TREE=$(realpath --canonicalize-missing "${TREE:-$(lab source)}")
check_tree
prepare_out
exec {lock}>"$CACHE/export-patches.lock"
lock_wait "$lock" "export-patches"
LAB_TAIL=3 step export-patches "Patches of rust/kernel_ext" generate
cp "$SERIES"/*.patch "$OUT"
[ "$CHECK" = 0 ] || check_series
rm -rf "$WORK"
say "the patches are in $OUT"
