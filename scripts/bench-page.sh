#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-page.sh [--base DIR] DIR SET...: makes a page of the results of bench.sh in DIR, beside those of
# another kernel in the --base; prints its path.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

base=()
binds=()
if [ "$1" = --base ]; then
	base=(--base /mnt)
	binds=(--bind "$2:/mnt")
	shift 2
fi
results=$1
shift
need_root
page=$(build_dir "page-$(key "$results")")
mkdir -p "$page"
in_root "${binds[@]}" --bind "$results:/results" --bind "$page:/out:rw" \
	python3 scripts/bench/page.py /results /out/page "${base[@]}" "$@"
lab page "$page"
