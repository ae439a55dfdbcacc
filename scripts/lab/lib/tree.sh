# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The choice of a kernel by variables of make, and kernels of source trees outside the lab. Sourced by
# lib.sh.
#
# The kernel of a tree is called tree-BASENAME-KEY-KIND; its KIND, which is its configuration, is plain
# (for measurements) or test (KUnit, KASAN, lockdep). It is in the cache's folder tree/, under this name.
# Unlike artefacts, it changes with each build, so a command locks it for as long as it uses it.

# tree_kernel KIND DIR: builds the kernel of the tree DIR; sets KERNEL to its name
tree_kernel() {
	local dir lock
	dir=$(cd "$2" 2>/dev/null && pwd -P) || die "$2: no such folder"
	[ -z "${CONFIG:-}" ] || [ -f "$CONFIG" ] || die "CONFIG=$CONFIG: no such file"
	KERNEL=tree-$(basename "$dir" | tr -cd '[:alnum:]._-')-$(key "$dir" | cut -c1-6)-$1
	mkdir -p "$CACHE/tree"
	exec {lock}>"$CACHE/tree/$KERNEL.lock"
	lock_wait "$lock" "$KERNEL"
	lab tree "$KERNEL" "$dir"
}

# choose_kernel KIND DEFAULT: sets KERNEL to the kernel of the tree TREE, or to the patched one with
# PATCHED=1, or to DEFAULT
choose_kernel() {
	if [ -n "${TREE:-}" ]; then
		tree_kernel "$1" "$TREE"
	elif [ -n "${PATCHED:-}" ]; then
		KERNEL=patched
	else
		KERNEL=$2
	fi
}
