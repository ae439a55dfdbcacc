#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# compare.sh: measures diofs beside XFS and ext4 on the stock kernel, and prints the figures. Fails if
# the difference is smaller than tests/engine/test_comparison.py demands.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

compare() {
	lab boot --name compare-console --timeout 900 --append kunit.enable=0 --drive scratch -- \
		env COMPARE=1 python3 -m pytest -p no:cacheprovider -q -rP /src/tests/engine/test_comparison.py
}

need_root
lab module stock >/dev/null
lab samples >/dev/null
LAB_TAIL=60 step compare "diofs beside other file systems" compare
cat "$(log_path compare)"
