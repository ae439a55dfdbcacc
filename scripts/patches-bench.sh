#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# patches-bench.sh: measures the effect of patches/ on overwrites by io_uring on XFS, ext4 and diofs,
# with three kernels that differ in the patches only. Writes bench/KERNEL for each, and tables without
# patches on the left: bench/SET-first.txt with the first one on the right, bench/SET.txt with all.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

SETS=(series-null series-nvme series-readback)

# table SET KERNEL NAME: writes bench/NAME.txt
table() {
	echo "$3:"
	in_root python3 scripts/bench/render.py --both "bench/plain/$1.json" "bench/$2/$1.json" |
		tee "$SRC/bench/$3.txt"
}

need_root
for kernel in plain plain-first plain-patched; do
	"$SRC/scripts/bench.sh" --kernel "$kernel" --out "$SRC/bench/$kernel" "${SETS[@]}"
done
for set in "${SETS[@]}"; do
	table "$set" plain-first "$set-first"
	table "$set" plain-patched "$set"
done
