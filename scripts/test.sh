#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh [--kunit] [PYTEST-ARGUMENT]...: runs the KUnit suites on the test kernel and tests/ on the
# test kernel and on the stock kernel; with --kunit, only the former, and with ONLY=WORDS, only those of
# the latter that pytest selects by these words (its option -k). With PATCHED=1, everything runs on the
# patched kernel only, and with TREE, on the kernel of that source tree only. With KERNEL=7.2, the
# end-to-end tests run on the stock kernel of that series, and nothing else; with --kunit, the KUnit suites
# on a test kernel of that series. With FULL=1, every variant of each test runs on the stock kernel, more
# of them on the others, and the end-to-end tests on the stock kernels of OTHER_SERIES. TURNS and CUTS say
# how often some tests repeat what they do, and with PULL=1, drives are pulled out, see
# Documentation/dev/testing.rst. The last line of output is "N passed, N failed".

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

# Drives of the end-to-end tests; two fail at 32 MiB
DRIVES=(--drive scratch --drive spare --drive bad-read:error=read@65536
	--drive bad-write:error=write@65536 --drive large-blocks:blocks=16384)

# problem TEXT: records a failure that is not the result of a test
problem() {
	say "$*"
	echo "$*" >>"$results/problems"
}

# attempt NAME WHAT CMD...: runs a step whose failure does not end the script
attempt() {
	(LAB_TAIL=60 step "$@")
}

# KUnit

declared_suites() {
	grep -rhoP '#\[kunit_tests\(\K\w+' "$SRC/rust" --include='*.rs' | sort --unique
}

# check_suites LOG: records a problem for each declared suite that did not run
check_suites() {
	local suite
	while read -r suite; do
		grep -a -q -E "# Subtest: $suite\s*$" "$1" || problem "KUnit suite $suite did not run"
	done < <(declared_suites)
}

# insmod sleeps while a case runs, which on a busy machine takes longer than the default timeout of
# the hung task detector; KUnit itself stops a case after 5 minutes.
kunit_guest() {
	lab boot --kernel "$KERNEL" --name kunit-console --timeout 900 --results "$results" \
		--append 'kmemleak=on sysctl.kernel.hung_task_timeout_secs=400' -- \
		/src/scripts/test/kunit.sh
}

# kunit_log: extracts the part of the console in which the module's suites run
kunit_log() {
	sed -n '/lab: kunit begins/,/lab: kunit ends/p' "$LAB_LOGS/kunit-console.log" >"$results/kunit.log"
}

kunit_parse() {
	in_root --kernel "$KERNEL" --bind "$results:/out:rw" \
		python3 /usr/src/linux/tools/testing/kunit/kunit.py parse --json=/out/kunit.json \
		/out/kunit.log
}

kunit() {
	attempt kunit-guest "KUnit suites on the $KERNEL kernel" kunit_guest ||
		problem "the guest that ran the KUnit suites failed"
	kunit_log
	check_suites "$results/kunit.log"
	attempt kunit "KUnit results" kunit_parse || true
	[ -e "$results/kunit.json" ] || problem "no results of the KUnit suites"
	cat "$(log_path kunit)" >&2
}

# End to end

# e2e_guest NAME KERNEL PYTEST-ARGUMENT...: loads the module without its KUnit suites, which have run
# before. Writes the exit status to a file, because 1, pytest's status for failed tests, is not a
# problem: the results contain those.
e2e_guest() {
	local name=$1 kernel=$2 limit=3600 status=0
	shift 2
	[ -z "${FULL:-}" ] || limit=14400
	lab boot --kernel "$kernel" --name "$name-console" --timeout "$limit" \
		--results "$results/$kernel" --append kunit.enable=0 "${DRIVES[@]}" -- \
		env ${FULL:+"FULL=$FULL"} ${TURNS:+"TURNS=$TURNS"} ${CUTS:+"CUTS=$CUTS"} \
			${PULL:+"PULL=$PULL"} \
		python3 -m pytest -p no:cacheprovider -v --durations=10 --junitxml=/results/tests.xml "$@" ||
		status=$?
	echo "$status" >"$results/$kernel/status"
	return "$status"
}

e2e() {
	local name="tests-$1" what="End-to-end tests on the $1 kernel"
	attempt "$name" "$what" e2e_guest "$name" "$@" || true
	# 122 says that QEMU has made a mistake.
	if [ "$(<"$results/$1/status")" -eq 122 ]; then
		attempt "$name-again" "$what, once more" e2e_guest "$name-again" "$@" || true
	fi
	[ "$(<"$results/$1/status")" -le 1 ] ||
		problem "the guest with the $1 kernel failed, see above"
	mv "$results/$1/tests.xml" "$results/tests-$1.xml" ||
		problem "no results of the tests on the $1 kernel"
}

hang_guest() {
	lab boot --kernel "$KERNEL" --name "hang-$1-console" --timeout 240 --results "$results" \
		--append kunit.enable=0 -- /src/scripts/test/hang.sh "$@"
}

# hang MISTAKE FILE-SYSTEM FUNCTION [OPTION]...: checks that samples/deadlock finds the deadlock of a
# module with that mistake on the file system, and hangs in FUNCTION
hang() {
	lab module "$KERNEL" "$1" >/dev/null
	attempt "hang-$1" "Deadlock of a module with the mistake $1" hang_guest "$@" ||
		problem "a module with the mistake $1 shows no deadlock"
}

lost_guest() {
	lab boot --name "lost-$1-console" --timeout 300 --append kunit.enable=0 -- \
		/src/scripts/test/lost.sh "$1"
}

# lost MISTAKE: checks that the test of power cuts fails with a module with that mistake, on the stock
# kernel, which is quicker
lost() {
	lab module stock "$1" >/dev/null
	attempt "lost-$1" "Power cuts of a module with the mistake $1" lost_guest "$1" ||
		problem "a module with the mistake $1 loses nothing in a power cut"
}

# guard: records a problem if an I/O takes more instructions than in bench/key.json
guard() {
	if ! "$SRC/scripts/bench.sh" --out "$results/bench" key >/dev/null; then
		problem "the set key could not be measured"
		return
	fi
	attempt guard "Instructions an I/O" \
		"$SRC/scripts/bench-compare.sh" --limit 2 "$SRC/bench/key.json" "$results/bench/key.json" ||
		problem "an I/O takes more instructions than in bench/key.json"
}

# powercut: records a problem if a power cut loses writes that were acknowledged as durable; those of
# null disks are among the end-to-end tests
powercut() {
	CUTS=0 "$SRC/scripts/powercut.sh" >/dev/null || problem "a power cut has lost something"
}

summary() {
	in_root --bind "$results:/out" python3 /src/scripts/test/summary.py /out
}

hangs() {
	hang keep_dio_count diofs ext_inode_dio_wait_timeout
	hang keep_write_count diofs freeze_super --poll --poll-beside --freeze
	hang keep_asleep ext4 inode_dio_wait --aio --reap-beside --depth=4
}

# Two guests at a time, because one uses little more than one core

# beside CMD...: runs CMD while the caller goes on until finish(). It does not write to the terminal,
# because the caller does.
beside() {
	group_start "$@" 2> >(cat >&2)
}

finish() {
	group_wait || problem "the tests on the stock kernel ended early"
}

# stock_and_more PYTEST-ARGUMENT...: what takes about as long as the rest on the test kernel
stock_and_more() {
	e2e stock "$@"
	hangs
	lost skip_sync
	powercut
}

all() {
	lab module stock >/dev/null
	beside stock_and_more "$@"
	kunit
	e2e test "$@"
	finish
	# Alone, because a guest that waits for a CPU has more timer interrupts an I/O.
	guard
	[ -z "${FULL:-}" ] || other_series "$@"
}

# series PYTEST-ARGUMENT...: runs the end-to-end tests on the stock kernel
series() {
	lab module stock >/dev/null
	e2e stock "$@"
}

# other_series PYTEST-ARGUMENT...: runs the end-to-end tests on the stock kernels of other series
other_series() {
	local series
	for series in $OTHER_SERIES; do
		KERNEL=$series LAB_SERIES='' FULL='' "$SRC/scripts/test.sh" "$@" ||
			problem "tests on kernel $series failed, see above"
	done
}

# only PYTEST-ARGUMENT...: runs end-to-end tests, and nothing else
only() {
	lab module stock >/dev/null
	beside e2e stock "$@"
	e2e test "$@"
	finish
}

# On one kernel, which is not the lab's own

all_single() {
	kunit
	hangs
	only_single "$@"
}

only_single() {
	[ "$KERNEL" != patched ] || lab selftest >/dev/null
	e2e "$KERNEL" "$@"
}

need_root
what=all
if [ "${1:-}" = --kunit ]; then
	what=kunit
	shift
else
	[ -z "${ONLY:-}" ] || what=only
	[ -z "${PATCHED:-}${TREE:-}" ] || what=${what}_single
	[ -z "$(series_suffix)" ] || what=series
fi
[ $# -gt 0 ] || set -- /src/tests
[ -z "${ONLY:-}" ] || set -- "$@" -k "$ONLY"
results=$(build_dir results)
rm -rf "$results"
mkdir -p "$results"
: >"$results/problems"

choose_kernel test 'test'
[ "$what" = series ] || lab module "$KERNEL" >/dev/null
if [ "$what" != kunit ]; then
	lab samples >/dev/null
	lab harness >/dev/null
fi
"$what" "$@"
summary
