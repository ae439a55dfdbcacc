#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [--page] [--kernel NAME] [--out DIR] [SET]...: measures these sets, see bench/sets/, on a
# kernel (stock). Writes DIR/SET.json, tables to DIR/SET*.txt, and pictures (bench/); with --page, makes a
# page of them and prints its path. bench.sh --sets prints the sets that are measured if none is given.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

SETS=(disk file file-polled path policies classes reactor live live-cached live-files live-writes aio)

kernel='stock'
out=$SRC/bench
page=''
while [[ ${1:-} == --* ]]; do
	case $1 in
	--kernel) kernel=$2; shift 2 ;;
	--out) out=$2; shift 2 ;;
	--page) page=1; shift ;;
	--sets) echo "${SETS[@]}"; exit ;;
	*) die "usage: bench.sh [--page] [--kernel NAME] [--out DIR] [SET]..." ;;
	esac
done
[ $# -gt 0 ] || set -- "${SETS[@]}"

# plugins: builds the QEMU plugins, which count instructions and accesses to shared memory; they are in
# /build/samples in the root
plugins() {
	local name
	for name in count sharing; do
		in_root --bind "$samples:/build:rw" gcc -O2 -Wall -Wextra -Werror -Wno-unused-parameter \
			-shared -fPIC -fvisibility=hidden -o "/build/$name.so" "scripts/bench/$name.c"
	done
}

# plugin_of SET: prints the name of the plugin that measures the set
plugin_of() {
	case $1 in
	sharing) echo sharing ;;
	*) echo count ;;
	esac
}

# cpus_of SET: prints how many CPUs the guest has. It is one, because QEMU interleaves several in a random
# order, unless it is counted what they share.
cpus_of() {
	case $1 in
	sharing) echo 4 ;;
	*) echo 1 ;;
	esac
}

# clock_of SET: prints QEMU options. With -icount, the guest's clock counts instructions and skips idle
# time. Sets with an NVMe drive go without, because the drive waits for the host, and so do several CPUs.
clock_of() {
	case $1 in
	*nvme* | sharing) ;;
	*) printf '%s\n' --qemu-opt -icount --qemu-opt shift=0,sleep=off ;;
	esac
}

# background_of SET: prints the kernel's arguments that switch off work at intervals of time
background_of() {
	case $1 in
	sharing) echo tsc=reliable nowatchdog transparent_hugepage=never damon_stat.enabled=0 ;;
	esac
}

# seconds_of SET: prints how long the guest may take
seconds_of() {
	case $1 in
	apps) echo 9000 ;;
	*) echo 3000 ;;
	esac
}

# guest SET RESULTS: measures
guest() {
	local set=$1 results=$2 clock
	mapfile -t clock < <(clock_of "$set")
	lab boot --kernel "$kernel" --name "bench-$set-console" --cpus "$(cpus_of "$set")" \
		--timeout "$(seconds_of "$set")" \
		--results "$results" --append "kunit.enable=0 $(background_of "$set")" \
		--drive bench:size=1G "${clock[@]}" --qemu-opt -plugin \
		--qemu-opt "file=/build/samples/$(plugin_of "$set").so,out=/results/counts" -- \
		python3 /src/scripts/bench/measure.py "$set"
}

# measure SET...: measures the sets one after the other
measure() {
	local set results
	for set; do
		results=$(build_dir "bench-$set")
		rm -rf "$results"
		mkdir -p "$results"
		LAB_TAIL=60 step "bench-$set" "Set $set on the $kernel kernel" guest "$set" "$results"
		identity "$kernel" "$(cpus_of "$set") CPU, TCG $(clock_of "$set" | tail -n 1)" \
			>"$results/identity"
		in_root --bind "$results:/results:rw" --bind "$source:/mnt" \
			python3 scripts/bench/collect.py "$set" >"$out/$set.json.new"
		mv "$out/$set.json.new" "$out/$set.json"
		in_root --bind "$out:/out:rw" python3 scripts/bench/plot.py "/out/$set.json" /out
		in_root --bind "$out:/out:rw" python3 scripts/bench/render.py "/out/$set.json" /out
		cat "$out/$set.txt"
	done
}

need_root
samples=$(lab samples)
mkdir -p "$out"
# The source says which part of the kernel a function belongs to.
source=$(kernel_source "$kernel")
lab module "$kernel" >/dev/null
[[ " $* " != *" apps "* ]] || lab programs >/dev/null
step bench-plugins "Plugins of QEMU that count" plugins

# Two guests run at a time, because each has one CPU. Only one of them writes to the terminal.
sets=("$@")
first=() second=()
while [ $# -gt 0 ]; do
	first+=("$1")
	second+=("${@:2:1}")
	shift $(($# > 1 ? 2 : 1))
done
group_start measure "${second[@]}" 2> >(cat >&2)
# In a subshell, because "||" would disable set -e in measure().
set +e
(set -e; measure "${first[@]}")
status=$?
set -e
group_wait || status=$?
[ "$status" -eq 0 ]
[ -z "$page" ] || "$SRC/scripts/bench-page.sh" "$out" "${sets[@]}"
