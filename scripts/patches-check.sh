#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# patches-check.sh: applies the patches in patches/ one by one to the source of the stock kernel. Each
# must pass checkpatch, and the kernel must build without a warning after it. Takes as long as building
# two kernels, because two patches change a header that every file includes. Of the first one, which
# stands alone and changes no header, only the objects are built.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/lib/kbuild.sh
. "$LAB/lib/kbuild.sh"

WORK=$CACHE/patches-check
SOURCE=$WORK/source
FRAGMENTS=("$LAB/config/machine.config" "$LAB/config/filesystems.config")

# Ignored: sign-offs, which only a person may add; commits, because the tree has no history; maintainers,
# because every new file has one; and BIT(), because the flags beside the new one do without.
CHECKPATCH=(perl /usr/src/linux/scripts/checkpatch.pl --root /usr/src/linux --strict --no-signoff
	--ignore 'UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES,BIT_MACRO')

prepare() {
	rm -rf "$WORK"
	mkdir -p "$WORK"
	cp --archive --link --no-target-directory "$(lab kernel-source)" "$SOURCE"
	configure "$WORK"
}

checkpatch() {
	in_tree "$WORK" "${CHECKPATCH[@]}" "/src/patches/$1"
}

apply() {
	in_root --bind "$SOURCE:/out:rw" git -C /out apply --verbose "/src/patches/$1"
}

# objects_of PATCH: builds what the C files become that the patch changes
objects_of() {
	local objects
	mapfile -t objects < <(sed -n 's|^+++ b/\(.*\)\.c$|\1.o|p' "$SRC/patches/$1")
	in_tree "$WORK" "${MAKE[@]}" -j"$(nproc)" "${objects[@]}"
}

# build_clean CMD...: runs the command. Any warning is caused by the patches, because the tree has none
# with this configuration.
build_clean() {
	"$@" 2>&1 | tee "$WORK/build.log"
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
	if [ "$patch" = "${PATCHES[0]}" ]; then
		LAB_TAIL=60 step "build-$name" "Objects of $name" build_clean objects_of "$name"
	else
		LAB_TAIL=60 step "build-$name" "The kernel with $name" build_clean build "$WORK"
	fi
done
step patches-selftest "Selftest" selftest
rm -rf "$WORK"
