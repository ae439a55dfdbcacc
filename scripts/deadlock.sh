#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deadlock.sh: runs samples/deadlock on the stock kernel, on diofs and on attached XFS and ext4, under
# every policy, with each system call that waits for the task's own writes, for ROUNDS (100000) rounds
# each. Prints how many writes were handed over to the waiting task. Also with the module's AIO, where
# writes are left to a task that waits for results; with ONLY=aio, nothing else. With PATCHED=1, also
# runs the selftest of the patches on XFS and ext4, on a kernel with the patches and without debugging
# aids.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

ROUNDS=${ROUNDS:-100000}

KERNEL='stock'
TESTS=(/src/tests/aio/test_deferral.py)
[ "${ONLY:-}" = aio ] || TESTS+=(/src/tests/engine/test_completion.py /src/tests/live/test_deadlock.py)
SELECTION='waits_for_its_own_writes or waits_for_the_write'
if [ -n "${PATCHED:-}" ]; then
	KERNEL=plain-patched
	TESTS+=(/src/tests/patches/test_patches.py)
	SELECTION+=' or selftest'
fi

# There are up to 150 runs, and a round takes less than 10 ms even under emulation; freezing takes
# longer, for fewer rounds.
guest() {
	lab boot --kernel "$KERNEL" --name deadlock-console --timeout $((ROUNDS * 3 / 2 + 300)) \
		--append kunit.enable=0 --drive scratch -- \
		env ROUNDS="$ROUNDS" python3 -m pytest -p no:cacheprovider -v -rP "${TESTS[@]}" \
		-k "$SELECTION"
}

need_root
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || die "ROUNDS=$ROUNDS: not a number of rounds"
lab module "$KERNEL" >/dev/null
lab samples >/dev/null
[ -z "${PATCHED:-}" ] || lab selftest >/dev/null
LAB_TAIL=60 step deadlock "$ROUNDS rounds of each deadlock on the $KERNEL kernel" guest
cat "$(log_path deadlock)"
