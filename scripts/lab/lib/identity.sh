# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What results depend on. Sourced by lib.sh.

# identity KERNEL MACHINE: prints it, as lines NAME=VALUE
identity() {
	local dir commit
	dir=$(kernel_dir "$1")
	commit=$(git -C "$SRC" rev-parse --short=12 HEAD 2>/dev/null) || commit=unknown
	git -C "$SRC" diff --quiet HEAD -- ':(exclude)bench' 2>/dev/null || commit+=+
	printf '%s\n' "commit=$commit" "kernel=$1" "release=$(<"$dir/release")" \
		"compiler=$(in_root --kernel "$1" sh -c 'rustc --version')" \
		"qemu=$(in_root qemu-system-x86_64 --version | head -n 1)" "machine=$2"
	if [ -f "$dir/source" ]; then
		echo "tree=$(<"$dir/source") $(<"$dir/commit")"
	fi
}
