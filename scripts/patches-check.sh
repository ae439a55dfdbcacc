#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# patches-check.sh: applies the patches in patches/ one by one to the source of the stock kernel. Each
# has to pass checkpatch, and to leave a kernel that builds without a warning. Takes as long as two
# kernels: some change a header that everything includes.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/kbuild.sh
. "$LAB/kbuild.sh"

WORK=$CACHE/patches-check
SOURCE=$WORK/source
FRAGMENTS=("$LAB/machine.config" "$LAB/filesystems.config")

# Only a person may sign off. The tree has no history to look commits up in; no file of the series is
# without a maintainer; and the flags beside the new one are written like it.
CHECKPATCH=(perl /usr/src/linux/scripts/checkpatch.pl --root /usr/src/linux --strict --no-signoff
	--ignore 'UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES,BIT_MACRO')

prepare() {
	rm -rf "$WORK"
	mkdir -p "$WORK"
	cp --archive --link --no-target-directory "$(lab source)" "$SOURCE"
	configure "$WORK"
}

checkpatch() {
	in_tree "$WORK" "${CHECKPATCH[@]}" "/src/patches/$1"
}

apply() {
	in_root --bind "$SOURCE:/out:rw" git -C /out apply --verbose "/src/patches/$1"
}

# Warnings of the files that patches touch would be ours; the tree has none with this configuration.
build_clean() {
	build "$WORK" 2>&1 | tee "$WORK/build.log"
	! grep -E '(warning|error):' "$WORK/build.log"
}

selftest() {
	in_tree "$WORK" make -C /usr/src/linux/tools/testing/selftests/filesystems/dio_completion \
		OUTPUT="$OBJ" USERCFLAGS=-Werror
}

need_root
exec {lock}>"$CACHE/patches-check.lock"
lock_wait "$lock" "patches-check"
step patches-prepare "Source and configuration" prepare
for patch in "${PATCHES[@]}"; do
	name=${patch##*/}
	LAB_TAIL=60 step "checkpatch-$name" "checkpatch of $name" checkpatch "$name"
	step "apply-$name" "Application of $name" apply "$name"
	LAB_TAIL=60 step "build-$name" "The kernel with $name" build_clean
done
step patches-selftest "Selftest" selftest
rm -rf "$WORK"
