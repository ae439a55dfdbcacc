#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh [--kunit] [PYTEST-ARGUMENT]...: the KUnit suites on our test kernel, then, unless told
# otherwise, tests/ on the test kernel and on the stock kernel. With PATCHED=1, all of it on the
# patched kernel, and on no other. Ends with "N passed, N failed".

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

# What the end-to-end tests find in their machine; the last two fail at 32 MiB.
DRIVES=(--drive scratch --drive spare --drive bad-read:error=read@65536
	--drive bad-write:error=write@65536)

KERNEL='test'
[ -z "${PATCHED:-}" ] || KERNEL=patched

# problem TEXT: something failed that is not the result of a test
problem() {
	say "$*"
	echo "$*" >>"$results/problems"
}

# attempt NAME WHAT CMD...: a step whose failure is not the end
attempt() {
	(LAB_TAIL=60 step "$@")
}

# KUnit

declared_suites() {
	grep -rhoP '#\[kunit_tests\(\K\w+' "$SRC/rust" --include='*.rs' | sort --unique
}

# Did every suite that the sources declare run?
check_suites() {
	local suite
	while read -r suite; do
		grep -a -q -E "# Subtest: $suite\s*$" "$1" || problem "KUnit suite $suite did not run"
	done < <(declared_suites)
}

# insmod sleeps for as long as a case takes, which on a busy machine is longer than the kernel lets
# tasks do without a complaint; KUnit itself ends a case after 5 minutes.
kunit_guest() {
	lab boot --kernel "$KERNEL" --name kunit-console --timeout 600 --results "$results" \
		--append 'kmemleak=on sysctl.kernel.hung_task_timeout_secs=400' -- \
		/src/scripts/test/kunit-guest.sh
}

# The part of the console that is about our module
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
	cat "$(log_path kunit)" >&2
}

# End to end

# The module is loaded without its KUnit suites, which have run by then. Leaves the exit status, too:
# 1 is pytest's for tests that failed, which the results tell.
e2e_guest() {
	local kernel=$1 status=0
	shift
	lab boot --kernel "$kernel" --name "tests-$kernel-console" --timeout 3600 \
		--results "$results/$kernel" --append kunit.enable=0 "${DRIVES[@]}" -- \
		python3 -m pytest -p no:cacheprovider -v --durations=10 \
		--junitxml=/results/tests.xml "$@" || status=$?
	echo "$status" >"$results/$kernel/status"
	return "$status"
}

e2e() {
	attempt "tests-$1" "End-to-end tests on the $1 kernel" e2e_guest "$@" ||
		[ "$(<"$results/$1/status")" -eq 1 ] ||
		problem "the guest with the $1 kernel failed, see above"
	mv "$results/$1/tests.xml" "$results/tests-$1.xml" ||
		problem "no results of the tests on the $1 kernel"
}

# Both at a time: a guest keeps little more than one core busy. Only one of them gets the terminal.
e2e_both() {
	group_start e2e stock "$@" 2> >(cat >&2)
	e2e test "$@"
	group_wait
}

# A test of a test: with a module that keeps i_dio_count, the deadlock must be there.
hang_guest() {
	lab boot --kernel "$KERNEL" --name hang-console --timeout 150 --results "$results" \
		--append kunit.enable=0 -- /src/scripts/test/hang-guest.sh
}

hang() {
	lab module "$KERNEL" keep_dio_count >/dev/null
	attempt hang "Deadlock of a module that is broken on purpose" hang_guest ||
		problem "a module that keeps i_dio_count shows no deadlock"
}

# An I/O must not have become more expensive, by its instructions, than bench/key.json has it.
guard() {
	if ! "$SRC/scripts/bench.sh" --out "$results/bench" key >/dev/null; then
		problem "the set key could not be measured"
		return
	fi
	attempt guard "Instructions an I/O" \
		"$SRC/scripts/bench-compare.sh" --limit 2 "$SRC/bench/key.json" "$results/bench/key.json" ||
		problem "an I/O takes more instructions than in bench/key.json"
}

summary() {
	in_root --bind "$results:/out" python3 /src/scripts/test/summary.py /out
}

need_root
only_kunit=''
if [ "${1:-}" = --kunit ]; then
	only_kunit=1
	shift
fi
[ $# -gt 0 ] || set -- /src/tests
results=$(build_dir results)
rm -rf "$results"
mkdir -p "$results"
: >"$results/problems"

lab module "$KERNEL" >/dev/null
kunit
if [ -z "$only_kunit" ]; then
	lab samples >/dev/null
	hang
	if [ "$KERNEL" = patched ]; then
		lab selftest >/dev/null
		e2e patched "$@"
	else
		lab module stock >/dev/null
		e2e_both "$@"
		guard
	fi
fi
summary
