#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Which files of the checkout are in which language. Sourced after lib.sh.

# The files of the checkout, as paths below it: what git knows and does not ignore, or all there is
all_files() {
	git -c safe.directory="$SRC" -C "$SRC" ls-files --cached --others --exclude-standard \
		2>/dev/null || (cd "$SRC" && find . -type f -printf '%P\n')
}

# language FILE: by its name, or by the interpreter it asks for
language() {
	case $1 in
	*.rs) echo rust ;;
	*.c | *.h) echo c ;;
	*.py) echo python ;;
	*.sh) echo shell ;;
	*)
		case $(head -c 80 "$SRC/$1" | head -n 1 | tr -d '\0') in
		'#!'*python*) echo python ;;
		'#!'*sh) echo shell ;;
		esac
		;;
	esac
}

# Sets RUST_FILES, C_FILES, PYTHON_FILES and SHELL_FILES
find_sources() {
	local file
	RUST_FILES=() C_FILES=() PYTHON_FILES=() SHELL_FILES=()
	while read -r file; do
		[ -f "$SRC/$file" ] || continue
		case $(language "$file") in
		rust) RUST_FILES+=("$file") ;;
		c) C_FILES+=("$file") ;;
		python) PYTHON_FILES+=("$file") ;;
		shell) SHELL_FILES+=("$file") ;;
		esac
	done < <(all_files | sort)
}
