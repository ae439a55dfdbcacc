#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# powercut.sh: stops a guest in the middle of durable writes to attached file systems, and boots another
# one on the same drives, which checks what is there. Then it cuts the power of null disks CUTS (67) times
# for each file system, with and without FUA in turn; with CUTS=0, not at all.

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

# cut_null_disks: tests/disk/test_power_cuts.py; a power cut takes some 6 s
cut_null_disks() {
	lab boot --name powercut-null-console --timeout $((CUTS * 60 + 300)) --append kunit.enable=0 -- \
		env FULL=1 CUTS="$CUTS" python3 -m pytest -p no:cacheprovider -v -rP \
		/src/tests/disk/test_power_cuts.py
}

CUTS=${CUTS:-67}
[[ $CUTS =~ ^[0-9]+$ ]] || die "CUTS=$CUTS: not a number of power cuts"
need_root
lab module stock >/dev/null
results=$(build_dir powercut)
rm -rf "$results"
mkdir -p "$results"
LAB_TAIL=60 step powercut-write "Durable writes until a power cut" write
LAB_TAIL=60 step powercut-check "Check after the power cut" guest check
cat "$(log_path powercut-check)"
rm -rf "$results"
if [ "$CUTS" -gt 0 ]; then
	LAB_TAIL=60 step powercut-null "$CUTS power cuts for each file system" cut_null_disks
	grep 'power cuts,' "$(log_path powercut-null)"
fi
