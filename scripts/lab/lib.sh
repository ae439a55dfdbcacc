#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script of the lab shares: where things are, steps, artefacts, the way into the root.
# Sourced. What a script has to say goes to stderr; stdout is for results.

set -euo pipefail
shopt -s inherit_errexit

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SRC=$(dirname "$(dirname "$LAB")")
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rnull-dio

# The series for mainline, but for its cover letter
# shellcheck disable=SC2034 # for those who source this
PATCHES=("$SRC"/patches/000[1-9]-*.patch)

# The logs of one command, however many scripts it starts, are in one folder.
export LAB_LOGS=${LAB_LOGS:-$CACHE/log/$(date +%m%d-%H%M%S)-$$}
LOG_FOLDERS_KEPT=20

# shellcheck source=scripts/lab/versions
. "$LAB/versions"

say() {
	echo "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

need_root() {
	[ "$(id -u)" -eq 0 ] || die "this needs root (it mounts file systems): run it with sudo"
}

# lab SCRIPT [ARG]...: another script of the lab
lab() {
	"$LAB/$1.sh" "${@:2}"
}

# key [FILE|STRING]...: a short name for all that an artefact is made from
key() {
	local part
	for part; do
		if [ -f "$part" ]; then cat "$part"; else echo "$part"; fi
	done | sha256sum | cut -c1-12
}

# ---- logs

log_path() {
	if [ ! -d "$LAB_LOGS" ]; then
		mkdir -p "$LAB_LOGS"
		log_prune
	fi
	echo "$LAB_LOGS/$1.log"
}

# What is younger than a day may still be in use.
log_prune() {
	find "$CACHE/log" -mindepth 1 -maxdepth 1 -type d -mtime +0 -printf '%T@ %p\n' | sort --numeric-sort |
		head -n "-$LOG_FOLDERS_KEPT" | cut -d' ' -f2- | xargs --no-run-if-empty -d '\n' rm -rf
}

# ---- what has to end when the script does

GROUP=

# group_start CMD...: starts CMD in a process group of its own
group_start() {
	trap group_abort INT TERM HUP
	set -m
	"$@" &
	GROUP=$!
	set +m
}

# group_wait: waits for it; returns its exit status
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

# ---- steps

# step NAME WHAT CMD...: runs CMD with all of its output in a log, shows one line meanwhile, and
# ends the script when CMD fails.
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

# How far a step is: what it said last
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

# ---- artefacts: what is slow to make, in the cache, one folder for each key

# artefact NAME KEY MAKER: sets ARTEFACT to the folder of NAME, which "MAKER FOLDER" fills if it is
# not there. It is made beside its place and renamed when complete; older ones are removed then.
artefact() {
	local name=$1 key=$2 maker=$3 lock
	ARTEFACT=$CACHE/$name/$key
	[ ! -d "$ARTEFACT" ] || return 0
	need_root
	mkdir -p "$CACHE/$name"
	exec {lock}>"$CACHE/$name/.lock"
	lock_wait "$lock" "$name"
	[ -d "$ARTEFACT" ] || artefact_make "$name" "$maker"
	exec {lock}>&-
}

lock_wait() {
	flock -n "$1" && return
	say "waiting for another run that is making: $2"
	flock "$1"
}

artefact_make() {
	local name=$1 maker=$2 tmp
	rm -rf "$CACHE/$name"/.tmp.*
	tmp=$(mktemp -d "$CACHE/$name/.tmp.XXXXXX")
	chmod 755 "$tmp"
	"$maker" "$tmp"
	mv -T "$tmp" "$ARTEFACT"
	artefact_prune "$name"
}

# A folder in use is held by in_root() and stays until the next time.
artefact_prune() {
	local old tmp
	for old in "$CACHE/$1"/*/; do
		old=${old%/}
		[ "$old" != "$ARTEFACT" ] || continue
		flock -xn "$old" true || continue
		tmp=$(mktemp -d "$CACHE/$1/.tmp.XXXXXX")
		mv -T "$old" "$tmp"
		rm -rf "$tmp"
	done
}

# ---- the root

# in_root [--kernel NAME] [--bind FROM:TO[:rw]]... [--env NAME=VALUE]... [--net] CMD...
# Runs CMD in the Debian root, from /src, in namespaces of its own: nothing stays mounted or running
# behind it. The root and the checkout (at /src) are read-only, /tmp and /run are empty.
in_root() {
	local args=() root
	root=$(lab root)
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel) kernel_binds "$2"; args+=("${BINDS[@]}"); shift 2 ;;
		--bind | --env) args+=("$1" "$2"); shift 2 ;;
		--net) args+=(--bind /etc/resolv.conf:/etc/resolv.conf); shift ;;
		*) break ;;
		esac
	done
	need_root
	(
		hold "$root" "${args[@]}"
		exec setpriv --pdeathsig KILL \
			unshare --mount --pid --fork --kill-child --propagation private \
			"$LAB/enter.sh" "$root" "$SRC" "${args[@]}" -- "$@"
	)
}

# hold PATH|ARG...: keeps the artefacts that PATHs are in from being removed, as long as this process
# and its children live
hold() {
	local path fd
	for path; do
		[[ $path =~ ^"$CACHE"/[^/]+/[^/:]+ ]] || continue
		exec {fd}<"${BASH_REMATCH[0]}"
		flock -s "$fd"
	done
}

# kernel_dir NAME: where the kernel of that name is: stock, or one of those of kernel.sh
kernel_dir() {
	case $1 in
	stock) lab stock ;;
	*) lab kernel "$1" ;;
	esac
}

# What a kernel needs in the root: sets BINDS
kernel_binds() {
	local dir source=''
	dir=$(kernel_dir "$1")
	case $1 in
	stock) ;;
	*patched) source=$(lab source --patched) ;;
	*) source=$(lab source) ;;
	esac
	BINDS=(--bind "$dir/usr/src:/usr/src" --bind "$dir/usr/lib/modules:/usr/lib/modules"
		--bind "$dir/boot:/boot")
	if [ -n "$source" ]; then
		BINDS+=(--bind "$source:/usr/src/linux")
	fi
}

# Where a module is built for a kernel: one folder for each checkout
build_dir() {
	echo "$CACHE/build/$(key "$SRC")/$1"
}
