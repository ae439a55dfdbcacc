#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: runs all style and static checks, and fails at the end if one of them has failed.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/lib/checkout.sh
. "$LAB/lib/checkout.sh"

KERNEL=/usr/src/linux
TRACEPOINTS=rust/helpers/trace.h
INODES=rust/helpers/aio.c
QEMU_PLUGINS=(scripts/bench/count.c scripts/bench/plugin.h scripts/bench/sharing.c)

check_rustfmt() {
	in_root --kernel test \
		rustfmt --check --edition 2021 --config-path $KERNEL/.rustfmt.toml "${RUST_FILES[@]}"
}

check_clippy() {
	local build
	build=$(build_dir clippy)
	mkdir -p "$build"
	in_root --kernel test --bind "$build:/build:rw" \
		make -C /usr/src/linux-test LLVM=-19 M=/src MO=/build CLIPPY=1 \
		KRUSTFLAGS=-Dwarnings KCFLAGS=-Werror -j"$(nproc)" modules
}

# mistakes: prints, for each mistake that must not compile, the compiler's error and the name
mistakes() {
	sed -n '/^\/\/ E[0-9]*:/{s/^\/\/ \(E[0-9]*\):.*/\1/;N;s/\n#\[cfg(rnull_dio_\(.*\))\]/ \1/p}' \
		"$SRC/rust/rnull_dio/dio/must_not_compile.rs"
}

# Each mistake must be the only error. The objects are those that clippy has built without one.
check_mistakes() {
	local build code name output count=0
	build=$(build_dir clippy)
	while read -r code name; do
		count=$((count + 1))
		echo "$name"
		output=$(in_root --kernel test --bind "$build:/build:rw" \
			make -C /usr/src/linux-test LLVM=-19 M=/src MO=/build DIO_CFG="$name" \
			rust/rnull_dio/lib.o 2>&1 </dev/null) && { echo "$name compiles"; return 1; }
		if [ "$(grep -c '^error\[' <<<"$output")" != 1 ] || ! grep -q "^error\[$code\]" <<<"$output"; then
			echo "expected the error $code and no other; the compiler's output is:"
			echo "$output"
			return 1
		fi
	done < <(mistakes)
	[ "$count" -gt 0 ] || { echo "no mistakes to try"; return 1; }
}

# checkpatch [OPTION]... FILE...: runs checkpatch on whole files
checkpatch() {
	in_root --kernel test \
		perl $KERNEL/scripts/checkpatch.pl --no-tree --strict --codespell --terse --show-types \
		--no-summary --file "$@"
}

# Tracepoints, the QEMU plugins and a name of the kernel break rules of checkpatch.
check_checkpatch() {
	local file status=0 files=()
	for file in "${C_FILES[@]}"; do
		[[ " $TRACEPOINTS $INODES ${QEMU_PLUGINS[*]} " = *" $file "* ]] || files+=("$file")
	done
	checkpatch "${files[@]}" || status=1
	checkpatch --ignore COMPLEX_MACRO,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT "$TRACEPOINTS" ||
		status=1
	# It takes iput() for a mistake.
	checkpatch --ignore TYPO_SPELLING "$INODES" || status=1
	# The plugins use QEMU's types and declare QEMU's functions.
	checkpatch --ignore PREFER_KERNEL_TYPES,NEW_TYPEDEFS,AVOID_EXTERNS,BIT_MACRO \
		"${QEMU_PLUGINS[@]}" || status=1
	return "$status"
}

check_shellcheck() {
	in_root shellcheck --external-sources "${SHELL_FILES[@]}"
}

# ruff COMMAND...: runs ruff on all Python files
ruff() {
	in_root --bind "$TOOLS:/out" /out/bin/ruff "$@" --no-cache --config scripts/lab/config/ruff.toml \
		"${PYTHON_FILES[@]}"
}

# Checks of our own, in scripts/check/

# own_check NAME ARG...
own_check() {
	in_root python3 "scripts/check/$1.py" "${@:2}"
}

# under DIR... -- FILE...: prints the FILEs that are in one of the folders
under() {
	local dirs=()
	while [ "$1" != -- ]; do
		dirs+=("$1")
		shift
	done
	shift
	printf '%s\n' "$@" | grep -E "^($(IFS='|' && echo "${dirs[*]}"))/" || true
}

check_imports() {
	own_check imports rust/kernel_ext rust/rnull_dio
}

# The list of words has all of them.
check_words() {
	local files
	mapfile -t files < <(under rust Documentation samples scripts tests guest tools include -- \
		"${ALL_FILES[@]}" | grep -v '^scripts/check/words.txt$')
	own_check words README.md "${files[@]}"
}

check_sizes() {
	local files
	mapfile -t files < <(under rust guest scripts samples tools -- \
		"${RUST_FILES[@]}" "${PYTHON_FILES[@]}" "${C_FILES[@]}" "${SHELL_FILES[@]}")
	own_check sizes "${files[@]}"
}

# pytest finds all tests as "make test" starts it. Two files of the same name, for example, it refuses.
check_tests() {
	in_root python3 -m pytest -p no:cacheprovider -q --collect-only tests
}

check_unsafe() {
	local files
	mapfile -t files < <(printf '%s\n' "${RUST_FILES[@]}" | grep -v '^rust/kernel_ext/')
	own_check unsafe "${files[@]}"
}

# check NAME FILES CMD...: runs CMD as a step if FILES, a number, is not 0; records a failure
check() {
	local name=$1
	[ "$2" -gt 0 ] || return 0
	(step "check-$name" "$name" "${@:3}") || FAILED+=("$name")
}

need_root
kernel=$(lab kernel)
[ -d "$kernel" ] || exit 1
TOOLS=$(lab tools)
find_sources
FAILED=()
export LAB_TAIL=100
check rustfmt "${#RUST_FILES[@]}" check_rustfmt
check clippy "${#RUST_FILES[@]}" check_clippy
check mistakes "${#RUST_FILES[@]}" check_mistakes
check checkpatch "${#C_FILES[@]}" check_checkpatch
check shellcheck "${#SHELL_FILES[@]}" check_shellcheck
check ruff "${#PYTHON_FILES[@]}" ruff check
check ruff-format "${#PYTHON_FILES[@]}" ruff format --check
check selftest 1 own_check selftest
check tests 1 check_tests
check gate 1 "$SRC/scripts/check/gate.sh"
check imports "${#RUST_FILES[@]}" check_imports
check words "${#ALL_FILES[@]}" check_words
check sizes "${#ALL_FILES[@]}" check_sizes
check unsafe "${#RUST_FILES[@]}" check_unsafe
(lab docs >/dev/null) || FAILED+=(documentation)
[ "${#FAILED[@]}" -eq 0 ] || die "failed: ${FAILED[*]}"
