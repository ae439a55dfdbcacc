#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: the style and static checks, all of them before it fails.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"
# shellcheck source=scripts/lab/sources.sh
. "$LAB/sources.sh"

KERNEL=/usr/src/linux
TRACEPOINTS=rust/helpers/trace.h
QEMU_PLUGIN=scripts/bench/count.c

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

# mistakes: the name of each mistake that must not compile, and the error that it must give
mistakes() {
	sed -n '/^\/\/ E[0-9]*:/{s/^\/\/ \(E[0-9]*\):.*/\1/;N;s/\n#\[cfg(rnull_dio_\(.*\))\]/ \1/p}' \
		"$SRC/rust/rnull_dio/dio/must_not_compile.rs"
}

# Only what clippy has let pass is tried with mistakes, so that they are all there is to find.
check_mistakes() {
	local build code name output count=0
	build=$(build_dir clippy)
	while read -r code name; do
		count=$((count + 1))
		echo "$name"
		output=$(in_root --kernel test --bind "$build:/build:rw" \
			make -C /usr/src/linux-test LLVM=-19 M=/src MO=/build DIO_CFG="$name" \
			rust/rnull_dio/lib.o 2>&1 </dev/null) && { echo "it compiles"; return 1; }
		if [ "$(grep -c '^error\[' <<<"$output")" != 1 ] || ! grep -q "^error\[$code\]" <<<"$output"; then
			echo "wanted $code, and nothing else, got:"
			echo "$output"
			return 1
		fi
	done < <(mistakes)
	[ "$count" -gt 0 ] || { echo "no mistakes to try"; return 1; }
}

# checkpatch [OPTION]... FILE...
checkpatch() {
	in_root --kernel test \
		perl $KERNEL/scripts/checkpatch.pl --no-tree --strict --codespell --terse --show-types \
		--no-summary --file "$@"
}

# checkpatch does not know how tracepoints are laid out.
check_checkpatch() {
	local file status=0 files=()
	for file in "${C_FILES[@]}"; do
		[ "$file" = "$TRACEPOINTS" ] || [ "$file" = "$QEMU_PLUGIN" ] || files+=("$file")
	done
	checkpatch "${files[@]}" || status=1
	checkpatch --ignore COMPLEX_MACRO,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT "$TRACEPOINTS" ||
		status=1
	# It uses QEMU's types, and declares QEMU's functions.
	checkpatch --ignore PREFER_KERNEL_TYPES,NEW_TYPEDEFS,AVOID_EXTERNS,BIT_MACRO "$QEMU_PLUGIN" ||
		status=1
	return "$status"
}

check_shellcheck() {
	in_root shellcheck --external-sources "${SHELL_FILES[@]}"
}

# ruff COMMAND...
ruff() {
	in_root --bind "$TOOLS:/out" /out/bin/ruff "$@" --no-cache --config scripts/lab/ruff.toml \
		"${PYTHON_FILES[@]}"
}

# check NAME FILES CMD...: a step whose failure is noted only; nothing to check is no failure
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
(lab docs >/dev/null) || FAILED+=(documentation)
[ "${#FAILED[@]}" -eq 0 ] || die "failed: ${FAILED[*]}"
