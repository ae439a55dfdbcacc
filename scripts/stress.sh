#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stress.sh: runs the stress test, tests/stress/, on the test kernel, or that of the source tree
# TREE, for MINUTES (10).

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

MINUTES=${MINUTES:-10}

# The time limit leaves 30 minutes for everything but the load, because it is slow under emulation.
guest() {
	lab boot --kernel "$KERNEL" --name stress-console --cpus 4 --memory 1G \
		--timeout $((MINUTES * 60 + 1800)) --drive scratch --drive spare \
		--append 'kunit.enable=0 kmemleak=on' -- \
		/src/scripts/stress/main.py "$MINUTES"
}

need_root
[[ $MINUTES =~ ^[1-9][0-9]*$ ]] || die "MINUTES=$MINUTES: not a number of minutes"
choose_kernel test test
lab module "$KERNEL" >/dev/null
lab samples >/dev/null
LAB_TAIL=60 step stress "Stress test for $MINUTES minutes on the $KERNEL kernel" guest
cat "$(log_path stress)"
