#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# suites.sh [WORDS]: runs the tests of liburing, fio and libaio that do I/O to files and disks, on the
# module's things and on the kernel's; with WORDS, those that pytest selects by these words (its option
# -k). Prints a line for each, the outcomes beside each other; all of them go to bench/suites.txt as well.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

guest() {
	lab boot --name suites-console --timeout 10000 --memory 4G --results "$results" \
		--append kunit.enable=0 -- \
		env SUITES=1 FULL=1 python3 -m pytest -p no:cacheprovider -v \
		/src/tests/suites /src/tests/aio/test_harness.py "$@"
}

need_root
results=$(build_dir suites)
rm -rf "$results"
mkdir -p "$results"
lab module stock >/dev/null
lab harness >/dev/null
lab suites >/dev/null
LAB_TAIL=400 step suites "Tests of liburing, fio and libaio, on both sides" guest ${1:+-k "$1"}
sed -n '/^=* \(programs that use Linux AIO\|tests of other projects\) =/,$p' "$(log_path suites)"
[ $# -gt 0 ] || cp "$results/suites.txt" "$SRC/bench/suites.txt"
