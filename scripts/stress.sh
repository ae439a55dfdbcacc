#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stress.sh: the stress test on our test kernel, see tests/stress.py, for MINUTES (10).

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

MINUTES=${MINUTES:-10}

# Under emulation, all but the load itself takes its time.
guest() {
	lab boot --kernel test --name stress-console --cpus 4 --memory 1G \
		--timeout $((MINUTES * 60 + 1200)) --drive scratch \
		--append 'kunit.enable=0 kmemleak=on' -- \
		env PYTHONPATH=/src/tests /src/scripts/stress/guest.py "$MINUTES"
}

need_root
[[ $MINUTES =~ ^[1-9][0-9]*$ ]] || die "MINUTES=$MINUTES: not a number of minutes"
lab module test >/dev/null
LAB_TAIL=60 step stress "Stress test for $MINUTES minutes on the test kernel" guest
cat "$(log_path stress)"
