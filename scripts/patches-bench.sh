#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# patches-bench.sh: what patches/ change: overwrites by io_uring on XFS, ext4 and diofs, measured on two
# kernels that differ in nothing else. Leaves bench/plain and bench/plain-patched, and tables in
# bench/SET.txt: on the left without patches, on the right with them.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

SETS=(series-null series-nvme series-readback)

need_root
for kernel in plain plain-patched; do
	"$SRC/scripts/bench.sh" --kernel "$kernel" --out "$SRC/bench/$kernel" "${SETS[@]}"
done
for set in "${SETS[@]}"; do
	echo "$set:"
	in_root python3 scripts/bench/render.py --both "bench/plain/$set.json" \
		"bench/plain-patched/$set.json" | tee "$SRC/bench/$set.txt"
done
