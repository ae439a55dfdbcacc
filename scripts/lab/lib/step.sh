# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Steps: commands that take long, each with a log. Sourced by lib.sh.

# step NAME WHAT CMD...: runs CMD with its output in a log and one line of progress on the terminal;
# ends the script if CMD fails
step() {
	local name=$1 what=$2 begin=$SECONDS log status=0
	shift 2
	log=$(log_path "$name")
	step_begin "$what" "$log"
	group_start "$@" >"$log" 2>&1 </dev/null
	step_watch "$what" "$log" "$begin"
	group_wait || status=$?
	step_end "$what" "$log" "$begin" "$status"
}

step_begin() {
	[ -t 2 ] || say "$1 (log: $2)"
}

step_watch() {
	local what=$1 log=$2 begin=$3 next=30 seconds
	while kill -0 "$GROUP" 2>/dev/null; do
		sleep 0.2
		seconds=$((SECONDS - begin))
		if [ -t 2 ]; then
			step_progress "$what, $seconds s (log: ${log/#$HOME/\~}): $(last_line "$log")"
		elif [ "$seconds" -ge "$next" ]; then
			say "still $what, $seconds s: $(last_line "$log")"
			next=$((next + 30))
		fi
	done
}

step_progress() {
	local width
	width=$(tput cols 2>/dev/null) || width=80
	printf '\r\033[K%s' "${1:0:width - 1}" >&2
}

# last_line LOG: prints the last line of a log, which shows how far the step is
last_line() {
	tail -c 300 "$1" | tr '\r' '\n' | grep -a '[[:alnum:]]' | tail -n 1 | tr -cd '[:print:]' || true
}

step_end() {
	local what=$1 log=$2 seconds=$((SECONDS - $3)) status=$4
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ "$status" -eq 0 ]; then
		if [ -t 2 ]; then say "$what: $seconds s (log: $log)"; else say "$what: $seconds s"; fi
		return
	fi
	say "$what: FAILED with status $status after $seconds s; the last lines of $log:"
	tail -n "${LAB_TAIL:-20}" "$log" | sed 's/^/    /' >&2
	exit 1
}
