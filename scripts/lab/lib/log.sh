# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Messages and logs. Sourced by lib.sh.

# The logs of one command, however many scripts it starts, are in one folder.
export LAB_LOGS=${LAB_LOGS:-$CACHE/log/$(date +%m%d-%H%M%S)-$$}
LOG_FOLDERS_KEPT=20

say() {
	echo "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# log_path NAME: prints the path of a log of this command
log_path() {
	if [ ! -d "$LAB_LOGS" ]; then
		mkdir -p "$LAB_LOGS"
		log_prune
	fi
	echo "$LAB_LOGS/$1.log"
}

# Folders of the last day stay, because another command may use them.
log_prune() {
	find "$CACHE/log" -mindepth 1 -maxdepth 1 -type d -mtime +0 -printf '%T@ %p\n' | sort --numeric-sort |
		head -n "-$LOG_FOLDERS_KEPT" | cut -d' ' -f2- | xargs --no-run-if-empty -d '\n' rm -rf
}
