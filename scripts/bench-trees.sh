#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-trees.sh [SET]...: measures these sets, or all, on the kernel of the source tree TREE. With BASE,
# which is another tree (a path with a slash) or a kernel of the lab (stock, plain), measures them on that
# too, and prints the two side by side. The results are in the cache.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

# measure KERNEL SET...
measure() {
	"$SRC/scripts/bench.sh" --kernel "$1" --out "$OUT/$1" "${@:2}"
}

# compare BASE SET...: prints the sets side by side, and writes them to files beside the results
compare() {
	local base=$1 set
	shift
	for set; do
		echo "$set:"
		"$SRC/scripts/bench-compare.sh" "$OUT/$base/$set.json" "$OUT/$KERNEL/$set.json" |
			tee "$OUT/$KERNEL/$set-change.txt"
	done
}

need_root
OUT=$(build_dir bench-trees)
# shellcheck disable=SC2046 # a word for each set
[ $# -gt 0 ] || set -- $("$SRC/scripts/bench.sh" --sets)
base=${BASE:-}
if [[ $base == */* ]]; then
	tree_kernel plain "$base"
	base=$KERNEL
	[ "$(kernel_source "$base")" != "$(cd "$TREE" && pwd -P)" ] || die "TREE and BASE are the same tree"
fi
tree_kernel plain "$TREE"
if [ -z "$base" ]; then
	measure "$KERNEL" "$@"
	"$SRC/scripts/bench-page.sh" "$OUT/$KERNEL" "$@"
else
	measure "$base" "$@" >/dev/null
	measure "$KERNEL" "$@" >/dev/null
	compare "$base" "$@"
	"$SRC/scripts/bench-page.sh" --base "$OUT/$base" "$OUT/$KERNEL" "$@"
fi
