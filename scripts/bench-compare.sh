#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-compare.sh [--limit PERCENT] BEFORE AFTER: prints two results of bench.sh side by side. With a
# limit, fails if the instructions of an I/O have grown by more than that.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

options=()
if [ "${1:-}" = --limit ]; then
	options=("$1" "$2")
	shift 2
fi
[ $# -eq 2 ] || die "usage: bench-compare.sh [--limit PERCENT] BEFORE AFTER"
for file; do
	[ -f "$file" ] || die "$file: no such file"
done
need_root
pair=$(build_dir bench-compare)
mkdir -p "$pair"
cp "$1" "$pair/before.json"
cp "$2" "$pair/after.json"
in_root --bind "$pair:/out" \
	python3 scripts/bench/compare.py "${options[@]}" /out/before.json /out/after.json
