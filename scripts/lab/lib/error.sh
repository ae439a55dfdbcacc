# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The first error of a build, from its log. Sourced after lib.sh.

# build_step PREFIX STEP-ARGUMENT...: a step. If it fails, PREFIX and the first error in its log are the
# last line that the script prints.
build_step() {
	BUILD_PREFIX=$1
	BUILD_LOG=$(log_path "$2")
	trap build_report EXIT
	step "${@:2}"
	trap - EXIT
}

# Not if the script was interrupted, which has another status
build_report() {
	[ $? -ne 1 ] || say "$BUILD_PREFIX: $(first_error "$BUILD_LOG")"
}

# first_error LOG: prints where the first error of a compiler, of modpost or of make is, and what it says
first_error() {
	local line
	line=$(compiler_error "$1")
	[ -n "$line" ] || line=$(grep -a -m 1 -E '^ERROR: modpost: |^ld.*: |error:|\*\*\* ' "$1") || true
	echo "${line:-see $1}"
}

# compiler_error LOG: prints "FILE:LINE: MESSAGE", with the path of FILE in the tree or in the checkout
compiler_error() {
	awk '
		function path(name) { sub(/^(\/usr\/src\/linux|\.\.\/linux|\/src|\.)\//, "", name); return name }
		/^error(\[E[0-9]+\])?: / { message = $0; sub(/^error[^:]*: /, "", message); next }
		message != "" && /^ *--> / {
			split($2, place, ":"); print path(place[1]) ":" place[2] ": " message; exit
		}
		/^[^ ]+:[0-9]+:[0-9]+: (fatal )?error: / {
			split($1, place, ":"); sub(/^[^ ]+ (fatal )?error: /, "")
			print path(place[1]) ":" place[2] ": " $0; exit
		}' "$1"
}
