#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# powercut.sh: stops a guest in the middle of durable writes to attached file systems, and boots another
# one on the same drives, which checks what is there.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

# guest write|check
guest() {
	lab boot --name "powercut-$1-console" --timeout 400 --append kunit.enable=0 --results "$results" \
		--drive cut-xfs:size=320M:keep --drive cut-ext4:size=320M:keep -- \
		/src/scripts/powercut/main.py "$1"
}

# The guest does not get to the end of its command.
write() {
	local status=0
	guest write || status=$?
	[ "$status" -eq 121 ]
}

need_root
lab module stock >/dev/null
results=$(build_dir powercut)
rm -rf "$results"
mkdir -p "$results"
LAB_TAIL=60 step powercut-write "Durable writes until a power cut" write
LAB_TAIL=60 step powercut-check "Check after the power cut" guest check
cat "$(log_path powercut-check)"
rm -rf "$results"
