#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# boot.sh [OPTION]... -- CMD...: runs CMD in a guest.
#
#   --kernel NAME         stock, or a kernel of kernel.sh (stock)
#   --name NAME           name of the log (boot)
#   --cpus N              (2)
#   --memory SIZE         (2G)
#   --timeout SECONDS     limit for the whole run (300); a shell has none
#   --append ARGS         appended to the kernel's command line
#   --drive SPEC          an NVMe drive, see below; may be given several times
#   --qemu-opt ARG        one argument for QEMU; may be given several times
#   --results DIR         a folder that the guest writes to as /results
#   --expect REGEX        a line that the log must have, and that is not a complaint
#   --shell               a shell on this terminal, in place of CMD
#
# In the guest, the checkout is at /src. If they have been built, the module for this kernel is at
# /build/rnull_dio.ko and the samples are in /build/samples. The nvme driver is loaded, with polled
# queues; configfs and debugfs are mounted.
#
# A drive is SERIAL[:OPTION]...: an empty drive with this serial number in /sys/block/*/device/serial.
# Options: size=SIZE (512M), blocks=BYTES (512) of a logical block, error=read@SECTOR or
# error=write@SECTOR (transfers of this sector of 512 bytes fail), keep (the drive is DIR/SERIAL.img
# and outlives the guest). Each drive has a slot of its own. The guest unplugs it, see monitor.py, with
# "echo 'lab: monitor device_del SERIAL' > /dev/kmsg".
#
# The exit status is that of CMD, or
#   120  the kernel's log has a complaint, whatever CMD returned
#   121  the guest did not reach CMD, or crashed in it
#   122  QEMU ran an instruction that had been replaced, see stale_breakpoint()
#   124  the time limit was reached
#
# A guest that hangs while its kernel boots is started once more, see boot/monitor.py.
#
# The guest is emulated by TCG. KVM=1 uses KVM after a trial boot, because on some machines /dev/kvm
# exists and every kernel hangs.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lab/boot/gate.sh
. "$LAB/boot/gate.sh"

kernel=stock
name=boot
timeout=300
results=''
expect=''
shell=''
guest_args=()

usage() {
	sed -n '4,/^$/s/^# \{0,1\}//p' "$0" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2; shift 2 ;;
	--name) name=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--results) results=$2; shift 2 ;;
	--expect) expect=$2; shift 2 ;;
	--cpus | --memory | --append | --drive | --qemu-opt) guest_args+=("$1" "$2"); shift 2 ;;
	--shell) shell=1; guest_args+=("$1"); shift ;;
	--) shift; break ;;
	*) usage ;;
	esac
done
[ $# -gt 0 ] || [ -n "$shell" ] || usage

# run_guest STATE RESULTS TIMEOUT GUEST-OPTION...: runs the command in the folder STATE, to which the
# console and the exit status are written
run_guest() {
	local state=$1 results=$2 timeout=$3 build samples
	shift 3
	build=$(build_dir "$kernel")
	samples=$(build_dir samples)
	mkdir -p "$build/samples" "$samples"
	in_root --kernel "$kernel" --bind "$build:/build" --bind "$samples:/build/samples" \
		--bind "$state:/out:rw" \
		--bind "$results:/results:rw" \
		timeout --foreground --kill-after=5 "$timeout" /src/scripts/lab/boot/qemu.sh "$@"
}

# probe_kvm STATE: adds KVM to the options of the guest, if KVM=1 and a trial boot works
probe_kvm() {
	[ "${KVM:-}" = 1 ] || return 0
	local state=$1/probe
	mkdir -p "$state/results"
	echo true >"$state/command"
	say "trying KVM (30 s at most)"
	run_guest "$state" "$state/results" 30 --accel kvm </dev/null >/dev/null 2>&1 || true
	if [ -s "$state/status" ]; then
		guest_args+=(--accel kvm)
	else
		say "KVM does not boot the kernel here, so it is not used"
	fi
}

# run_command STATE LOG: runs the command, whose console is LOG; returns the status of the time limit
run_command() {
	local state=$1 log=$2 status=0
	: >"$state/console"
	ln -f "$state/console" "$log"
	group_start run_guest "$state" "$results" "$timeout" "${guest_args[@]}" </dev/null
	group_wait || status=$?
	return "$status"
}

# verdict STATE STATUS LOG: returns boot.sh's exit status; STATUS is that of the time limit
verdict() {
	local state=$1 status=$2 log=$3
	if stale_breakpoint "$log" "$expect"; then
		say "$name: QEMU ran a breakpoint that had been removed (log: $log)"
		return 122
	elif ! gate "$log" "$expect"; then
		return 120
	elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		say "$name: not finished after $timeout s (log: $log)"
		return 124
	elif [ ! -s "$state/status" ]; then
		say "$name: the guest crashed (log: $log)"
		tail -n 20 "$log" | sed 's/^/    /' >&2
		return 121
	fi
	return "$(<"$state/status")"
}

need_root
log=$(log_path "$name")
state=$(mktemp -d "$LAB_LOGS/.state.XXXXXX")
trap 'rm -rf "$state"' EXIT
# Not $state itself: 9p would see one inode at /out and at /results, and mount both at one of them.
[ -n "$results" ] || results=$state/results
mkdir -p "$results"
results=$(cd "$results" && pwd)
probe_kvm "$state"

status=0
if [ -n "$shell" ]; then
	run_guest "$state" "$results" infinity "${guest_args[@]}" || status=$?
	exit "$status"
fi
printf '%q ' "$@" >"$state/command"
run_command "$state" "$log" || status=$?
if [ -e "$state/stuck" ]; then
	mv "$log" "${log%.log}-stuck.log"
	say "$name: the guest has hung while it booted, and is started again (log: ${log%.log}-stuck.log)"
	rm -f "$state/stuck" "$state/console"
	status=0
	run_command "$state" "$log" || status=$?
fi
verdict "$state" "$status" "$log"
