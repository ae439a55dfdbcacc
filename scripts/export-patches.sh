#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# export-patches.sh: writes the abstractions in rust/kernel_ext/, and the C that they need, as patches
# for the kernel tree TREE to the folder OUT. Checks that after each patch the kernel crate builds
# without a warning, unless CHECK=0. Does not change TREE.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/lib/kbuild.sh
. "$LAB/lib/kbuild.sh"

OUT=${OUT:-$SRC/export}
CHECK=${CHECK:-1}
WORK=$CACHE/export-patches
SERIES=$WORK/series
SOURCE=$WORK/source
FRAGMENTS=("$LAB/config/machine.config" "$LAB/config/filesystems.config" "$SRC/scripts/export/check.config")

check_tree() {
	[ -f "$TREE/init/Kconfig" ] || die "TREE=$TREE: not the source tree of a kernel"
	[ -f "$TREE/rust/kernel/lib.rs" ] || die "TREE=$TREE: this kernel has no rust/kernel"
}

generate() {
	rm -rf "$WORK"
	mkdir -p "$SERIES"
	in_root --bind "$TREE:/usr/src" --bind "$SERIES:/out:rw" \
		/src/scripts/export/series.py /src /usr/src /out
}

# The default folder is emptied, because file names follow subjects. Any other must be empty, because
# it may hold patches of another origin.
prepare_out() {
	[ "$OUT" != "$SRC/export" ] || rm -rf "$OUT"
	[ -z "$(ls -A "$OUT" 2>/dev/null)" ] || die "OUT=$OUT: the folder is not empty"
	mkdir -p "$OUT"
}

# Copies by hard links if possible: git writes new files in place of those that it patches.
copy_tree() {
	cp --archive --link --no-target-directory "$TREE" "$SOURCE" && return
	rm -rf "$SOURCE"
	cp --archive --no-target-directory "$TREE" "$SOURCE"
}

apply() {
	in_root --bind "$SOURCE:/out:rw" --bind "$SERIES:/usr/src" \
		git -C /out apply --verbose "/usr/src/$1"
}

# The configuration is made after the first patch, which adds the option.
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
TREE=$(realpath --canonicalize-missing "${TREE:-$(lab kernel-source)}")
check_tree
prepare_out
exec {lock}>"$CACHE/export-patches.lock"
lock_wait "$lock" "export-patches"
LAB_TAIL=3 step export-patches "Patches of rust/kernel_ext" generate
cp "$SERIES"/*.patch "$OUT"
[ "$CHECK" = 0 ] || check_series
rm -rf "$WORK"
say "the patches are in $OUT"
