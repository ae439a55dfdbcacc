#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# compare.sh: measures diofs beside XFS and ext4, and attached file systems beside the kernel's own
# code, on the stock kernel, and prints the figures. Fails if a difference is smaller than the tests demand.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

# guest CPUS PYTEST-ARGUMENT...
guest() {
	local cpus=$1
	shift
	lab boot --name compare-console --timeout 1800 --cpus "$cpus" --append kunit.enable=0 \
		--drive scratch -- env COMPARE=1 python3 -m pytest -p no:cacheprovider -q -rP "$@"
}

# compare NAME WHAT CPUS PYTEST-ARGUMENT...: prints the figures of these tests
compare() {
	LAB_TAIL=60 step "$1" "$2" guest "${@:3}"
	cat "$(log_path "$1")"
}

need_root
lab module stock >/dev/null
lab samples >/dev/null
compare compare "diofs beside other file systems" 2 /src/tests/engine/test_comparison.py
compare compare-live "Attached file systems" 2 /src/tests/live/test_beside_mainline.py -k 'not many'
compare compare-many "Many files on attached file systems" 4 /src/tests/live/test_beside_mainline.py -k many
