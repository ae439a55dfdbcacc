# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Debian root and the kernels in it. Sourced by lib.sh.

need_root() {
	[ "$(id -u)" -eq 0 ] || die "this needs root (it mounts file systems): run it with sudo"
}

# in_root [--root DIR] [--kernel NAME] [--bind FROM:TO[:rw]]... [--overlay UPPER:LOWER:TO]...
#	[--env NAME=VALUE]... [--net] CMD...
# Runs CMD in the Debian root, or in another one, from /src, in namespaces of its own, so that no mount
# and no process outlives it. The root and the checkout (at /src) are read-only, /tmp and /run are empty.
# An overlay is read-only too.
in_root() {
	local args=() root=''
	while [ $# -gt 0 ]; do
		case $1 in
		--root) root=$2; shift 2 ;;
		--kernel) kernel_binds "$2"; args+=("${BINDS[@]}"); shift 2 ;;
		--bind | --overlay | --env) args+=("$1" "$2"); shift 2 ;;
		--net) args+=(--bind /etc/resolv.conf:/etc/resolv.conf); shift ;;
		*) break ;;
		esac
	done
	[ -n "$root" ] || root=$(lab root)
	need_root
	(
		hold "$root" "${args[@]}"
		exec setpriv --pdeathsig KILL \
			unshare --mount --pid --fork --kill-child --propagation private \
			"$LAB/root/enter.sh" "$root" "$SRC" "${args[@]}" -- "$@"
	)
}

# hold PATH|ARG...: keeps the artefacts that contain PATHs from being removed while this process or a
# child of it lives
hold() {
	local path fd
	for path; do
		[[ $path =~ ^"$CACHE"/[^/]+/[^/:]+ ]] || continue
		exec {fd}<"${BASH_REMATCH[0]}"
		flock -s "$fd"
	done
}

# kernel_dir NAME: prints the folder of a kernel: stock, one of kernel.sh's, or tree-*, which tree.sh has
# built before
kernel_dir() {
	case $1 in
	stock) lab stock ;;
	tree-*) echo "$CACHE/tree/$1" ;;
	*) lab kernel "$1" ;;
	esac
}

# kernel_source NAME: prints the folder of a kernel's source
kernel_source() {
	case $1 in
	tree-*) cat "$(kernel_dir "$1")/source" ;;
	*patched) lab kernel-source --patched ;;
	*first) lab kernel-source --first ;;
	*) lab kernel-source ;;
	esac
}

# source_bind DIR SOURCE: sets BIND to the options of in_root() that bring the source of the kernel in DIR
# into the root, without what DIR/hidden hides
source_bind() {
	if [ -d "$1/hidden" ]; then
		BIND=(--overlay "$1/hidden:$2:/usr/src/linux")
	else
		BIND=(--bind "$2:/usr/src/linux")
	fi
}

# kernel_binds NAME: sets BINDS to the options of in_root() that bring a kernel's files into the root
kernel_binds() {
	local dir source
	dir=$(kernel_dir "$1")
	BINDS=(--bind "$dir/usr/src:/usr/src" --bind "$dir/usr/lib/modules:/usr/lib/modules"
		--bind "$dir/boot:/boot")
	if [ "$1" != stock ]; then
		source=$(kernel_source "$1")
		source_bind "$dir" "$source"
		BINDS+=("${BIND[@]}")
	fi
}

# build_dir NAME: prints a folder for build results; each checkout and each series has its own
build_dir() {
	echo "$CACHE/build/$(key "$SRC")$(series_suffix)/$1"
}

# to_samples NAME: copies the artefact to the samples of this checkout, as NAME, where guests find it below
# /build/samples; prints the folder
to_samples() {
	local samples
	samples=$(build_dir samples)
	mkdir -p "$samples"
	rm -rf "${samples:?}/$1"
	cp --archive "$ARTEFACT" "$samples/$1"
	echo "$samples/$1"
}
