#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh [OPTION]...: the main job, see run/guest.py, which gets the options.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

guest() {
	lab boot --name run --drive nvme --results "$results" -- /src/scripts/run/guest.py "$@" |
		tee "$results/output"
}

need_root
results=$(build_dir run)
mkdir -p "$results"
lab module stock >/dev/null
LAB_TAIL=60 step main-job "fio in a guest with the stock kernel" guest "$@"
cat "$results/output"
