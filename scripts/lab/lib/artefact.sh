# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Artefacts: what is slow to make, in the cache, a folder for each key. Sourced by lib.sh.

# key [FILE|STRING]...: prints a short name for the ingredients of an artefact. Comments of files do
# not count, so that rewording one does not cause a rebuild.
key() {
	local part
	for part; do
		if [ -f "$part" ]; then sed '/^[[:space:]]*\(#\|$\)/d' "$part"; else echo "$part"; fi
	done | sha256sum | cut -c1-12
}

# name_in_cache NAME: prints the folder of an artefact. Those of other kernels than the usual one have
# folders of their own, so that neither replaces the other.
name_in_cache() {
	case $1 in
	debs | source* | stock | kernel-*) echo "$1$(series_suffix)" ;;
	*) echo "$1" ;;
	esac
}

# artefact NAME KEY MAKER: sets ARTEFACT to the folder of NAME with that KEY. If there is none, "MAKER
# FOLDER" fills a temporary one, which is renamed when complete; folders with other keys are removed
# then.
artefact() {
	local name key=$2 maker=$3 lock
	name=$(name_in_cache "$1")
	ARTEFACT=$CACHE/$name/$key
	[ ! -d "$ARTEFACT" ] || return 0
	need_root
	mkdir -p "$CACHE/$name"
	exec {lock}>"$CACHE/$name/.lock"
	lock_wait "$lock" "$name"
	[ -d "$ARTEFACT" ] || artefact_make "$name" "$maker"
	exec {lock}>&-
}

# lock_wait FD WHAT: locks the file that is open as FD; says what it waits for
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

# Folders that in_root() holds stay until the next artefact of that name is made.
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
