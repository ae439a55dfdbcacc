# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The Debian root and the kernels in it. Sourced by lib.sh.

need_root() {
	[ "$(id -u)" -eq 0 ] || die "this needs root (it mounts file systems): run it with sudo"
}

# in_root [--kernel NAME] [--bind FROM:TO[:rw]]... [--env NAME=VALUE]... [--net] CMD...
# Runs CMD in the Debian root, from /src, in namespaces of its own, so that no mount and no process
# outlives it. The root and the checkout (at /src) are read-only, /tmp and /run are empty.
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

# kernel_dir NAME: prints the folder of a kernel: stock, or one of kernel.sh's
kernel_dir() {
	case $1 in
	stock) lab stock ;;
	*) lab kernel "$1" ;;
	esac
}

# kernel_source NAME: prints the folder of a kernel's source
kernel_source() {
	case $1 in
	*patched) lab kernel-source --patched ;;
	*first) lab kernel-source --first ;;
	*) lab kernel-source ;;
	esac
}

# kernel_binds NAME: sets BINDS to the options of in_root() that bring a kernel's files into the root
kernel_binds() {
	local dir source=''
	dir=$(kernel_dir "$1")
	[ "$1" = stock ] || source=$(kernel_source "$1")
	BINDS=(--bind "$dir/usr/src:/usr/src" --bind "$dir/usr/lib/modules:/usr/lib/modules"
		--bind "$dir/boot:/boot")
	if [ -n "$source" ]; then
		BINDS+=(--bind "$source:/usr/src/linux")
	fi
}

# build_dir NAME: prints a folder for build results; each checkout and each series has its own
build_dir() {
	echo "$CACHE/build/$(key "$SRC")$(series_suffix)/$1"
}
