# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A process group that ends when the script is interrupted. Sourced by lib.sh.

GROUP=

# group_start CMD...: starts CMD in a process group of its own
group_start() {
	trap group_abort INT TERM HUP
	set -m
	"$@" &
	GROUP=$!
	set +m
}

# group_wait: waits for the group; returns its exit status
group_wait() {
	local status=0
	wait "$GROUP" || status=$?
	GROUP=
	return "$status"
}

group_abort() {
	local tries
	trap - INT TERM HUP
	[ ! -t 2 ] || say
	[ -n "$GROUP" ] || exit 130
	kill -TERM -- "-$GROUP" 2>/dev/null || true
	for tries in {1..25}; do
		kill -0 -- "-$GROUP" 2>/dev/null || break
		[ "$tries" -lt 25 ] || kill -KILL -- "-$GROUP" 2>/dev/null || true
		sleep 0.2
	done
	exit 130
}
