# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The kernels that the archive offers. Sourced after lib.sh and apt.sh.

# offered: prints the kernel packages in the archive, as "package version" lines
offered() {
	apt-cache "${APT_OPTIONS[@]}" dumpavail |
		awk '/^Package: linux-/ { name = $2 } /^Version: / && name { print name, $2; name = "" }'
}

# package_set RELEASE: prints the packages of a kernel other than its image; linux-source-7.3 belongs to
# release 7.3.4+deb13-amd64
package_set() {
	local release=$1 base=${1%-*} series
	series=$(echo "$release" | cut -d. -f1-2)
	echo "linux-source-$series" "linux-headers-$release" "linux-headers-$base-common" \
		"linux-kbuild-$base" "linux-modules-$release" "linux-base-$release"
}

# image_package VERSION RELEASE: prints the signed image, or the unsigned one if there is no other yet
image_package() {
	local name
	for name in "linux-binary-$2" "linux-binary-unsigned-$2"; do
		if is_offered "$name" "$1"; then
			echo "$name"
			return
		fi
	done
	return 1
}

is_offered() {
	grep -qxF "$1 $2" <<<"$OFFERED"
}

# complete VERSION RELEASE: returns whether the archive has all packages of that kernel
complete() {
	local name
	for name in $(package_set "$2"); do
		is_offered "$name" "$1" || return
	done
	image_package "$1" "$2" >/dev/null
}

# packages_of VERSION RELEASE: prints the packages of a kernel, according to the lists that apt has
packages_of() {
	OFFERED=$(offered)
	echo "$(package_set "$2") $(image_package "$1" "$2")"
}

# list_kernels: prints the 7.x kernels that are complete, as "version release" lines, newest first
list_kernels() {
	local version release
	apt_private
	apt-get "${APT_OPTIONS[@]}" update >&2 || say "the package lists could not be updated"
	OFFERED=$(offered)
	sed -En 's/^linux-headers-(7\.[0-9.]+\+deb[0-9]+-amd64) (.*)$/\2 \1/p' <<<"$OFFERED" |
		sort --version-sort --reverse |
		while read -r version release; do
			! complete "$version" "$release" || echo "$version $release"
		done
}

# kernels: prints the path of that list. It is made once a day, and one command sees one list, so that
# its steps use the same kernel.
kernels() {
	local list=$CACHE/apt/kernels log seen
	log=$(log_path kernels)
	seen=${log%.log}.list
	if [ ! -s "$seen" ]; then
		if [ -z "$(find "$list" -size +0 -mmin -1440 2>/dev/null)" ]; then
			mkdir -p "$CACHE/apt"
			list_kernels >"$list.$$" 2>"$log"
			mv "$list.$$" "$list"
		fi
		cp "$list" "$seen.$$"
		mv "$seen.$$" "$seen"
	fi
	echo "$seen"
}

# newest_kernel: prints version and release of the newest kernel of LAB_SERIES. If there is none of the
# usual series any more, that of the newest.
newest_kernel() {
	local list found
	list=$(kernels)
	found=$(grep -m 1 "^${LAB_SERIES//./\\.}[.-]" "$list") || true
	if [ -z "$found" ] && [ "$LAB_SERIES" = "$KERNEL_SERIES" ]; then
		found=$(head -n 1 "$list")
		say "note: the archive no longer has a kernel $LAB_SERIES; taking ${found% *}"
	fi
	[ -n "$found" ] || die "$SUITE-backports has no complete kernel $LAB_SERIES, but:" \
		"$(cut -d' ' -f1 "$list" | xargs)"
	echo "$found"
}
