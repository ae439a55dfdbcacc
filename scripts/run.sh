#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [OPTION]...: runs the main job, run/main.py with these options, on the stock kernel, or with
# PATCHED=1 on the patched kernel, or on the kernel of the source tree TREE. Prints its tables, and the
# path of a page with them and with pictures.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

guest() {
	lab boot --kernel "$KERNEL" --timeout 600 --name run --drive nvme --results "$results" -- \
		/src/scripts/run/main.py "$@" |
		tee "$results/output"
}

need_root
results=$(build_dir run)
mkdir -p "$results"
choose_kernel plain stock
lab module "$KERNEL" >/dev/null
LAB_TAIL=60 step main-job "fio in a guest with the $KERNEL kernel" guest "$@"
cat "$results/output"
identity "$KERNEL" "2 CPUs, TCG" >"$results/identity"
in_root --bind "$results:/out:rw" python3 scripts/run/page.py /out /out/page
lab page "$results"
