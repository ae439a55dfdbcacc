#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# patches-bench.sh: measures the effect of patches/ on overwrites by io_uring on XFS, ext4 and diofs,
# with two kernels that differ in the patches only. Writes bench/plain, bench/plain-patched, and tables
# to bench/SET.txt, without the patches on the left and with them on the right.

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
