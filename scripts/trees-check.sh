#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# trees-check.sh: tries TREE= with a copy of the lab's own source. The set key must not change on the
# kernel of the copy beside the plain kernel, and must change after a change of one line in iomap, in
# less than 10 minutes; an API that has changed must be named, and trees that cannot be built refused. The
# first run builds a kernel, and the next ones compile what they change.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

WORK=$CACHE/trees-check
TREE_COPY=$WORK/linux
LIMIT=600
# An API of the kernel that the module uses, and few files besides
API=badblocks_show
API_FILES=(block/badblocks.c block/genhd.c drivers/block/null_blk/main.c include/linux/badblocks.h)

bench() {
	TREE=$TREE_COPY BASE=plain "$SRC/scripts/bench-trees.sh" key
}

# expect WHAT PATTERN: fails unless a line of the input matches
expect() {
	local output
	output=$(cat)
	grep -qE -e "$2" <<<"$output" || die "$1: no line matches '$2' in:"$'\n'"$output"
	say "ok: $1"
}

# refused WHAT PATTERN DIR: checks that run.sh refuses a tree, with this message
refused() {
	local output
	output=$(TREE=$3 "$SRC/scripts/run.sh" 2>&1) && die "$1: not refused"
	expect "$1" "$2" <<<"$output"
}

# refusals: trees that are not built
refusals() {
	local dir=$WORK/refused
	rm -rf "$dir"
	mkdir -p "$dir"/{empty,old,built/include/config}
	touch "$dir"/{old,built}/Kbuild
	printf 'VERSION = 6\nPATCHLEVEL = 12\n' >"$dir/old/Makefile"
	printf 'VERSION = 7\nPATCHLEVEL = 3\n' >"$dir/built/Makefile"
	refused "a folder without a tree" 'no kernel tree there' "$dir/empty"
	refused "an old tree" 'Linux 6.12; the module needs 7.2' "$dir/old"
	refused "a tree in which a kernel was built" "run 'make mrproper'" "$dir/built"
	# With git, kbuild gets the tree, which has no target.
	git -C "$dir/built" init --quiet
	echo /include/config/ >"$dir/built/.gitignore"
	refused "the same, with git" "No rule to make target 'allnoconfig'" "$dir/built"
}

# By hard links, which sed replaces: the source of the lab does not change.
copy() {
	rm -rf "$TREE_COPY"
	cp --archive --link --no-target-directory "$(lab kernel-source)" "$TREE_COPY"
}

one_line() {
	local begin=$SECONDS output
	sed -i 's/dio = kmalloc_obj(\*dio);/dio = kzalloc_obj(*dio);/' "$TREE_COPY/fs/iomap/direct-io.c"
	output=$(bench)
	[ $((SECONDS - begin)) -lt "$LIMIT" ] || die "the second measurement took $((SECONDS - begin)) s"
	expect "one line changes XFS" '^xfs, .* \* ' <<<"$output"
	! grep -E '^diofs, .* \* ' <<<"$output" || die "one line of iomap changes diofs"
}

api() {
	local output
	sed -i "s/\\b$API\\b/other_name/" "${API_FILES[@]/#/$TREE_COPY/}"
	output=$(bench 2>&1) && die "the module compiles without $API"
	expect "an API that has changed" "^the module does not compile .*: rust/.*$API" <<<"$output"
}

need_root
mkdir -p "$WORK"
exec {lock}>"$WORK/.lock"
lock_wait "$lock" trees-check
refusals
copy
output=$(bench)
! grep -E ' \* ' <<<"$output" || die "figures differ without a change"
expect "an unchanged tree" '^diofs, .*(same|noise)$' <<<"$output"
one_line
api
