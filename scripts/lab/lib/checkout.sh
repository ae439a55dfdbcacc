#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The files of the checkout, by language. Sourced after lib.sh.

# all_files: prints the files of the checkout that git does not ignore, or all files without git
all_files() {
	git -c safe.directory="$SRC" -C "$SRC" ls-files --cached --others --exclude-standard \
		2>/dev/null || (cd "$SRC" && find . -type f -printf '%P\n')
}

# language FILE: prints the language, according to the name or to the interpreter in the first line
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

# find_sources: sets ALL_FILES, RUST_FILES, C_FILES, PYTHON_FILES and SHELL_FILES
find_sources() {
	local file
	ALL_FILES=() RUST_FILES=() C_FILES=() PYTHON_FILES=() SHELL_FILES=()
	while read -r file; do
		[ -f "$SRC/$file" ] || continue
		ALL_FILES+=("$file")
		case $(language "$file") in
		rust) RUST_FILES+=("$file") ;;
		c) C_FILES+=("$file") ;;
		python) PYTHON_FILES+=("$file") ;;
		shell) SHELL_FILES+=("$file") ;;
		esac
	done < <(all_files | sort)
}
