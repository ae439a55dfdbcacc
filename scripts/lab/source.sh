#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# source.sh [--debs|--patched]: makes sure that the packages of the stock kernel are there and its
# source is unpacked; prints the path of the source tree, or of one to which the patches in patches/
# have been applied, or of the folder of packages. In the latter, "version" is the version of the
# packages and "release" what uname -r says of the kernel.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/lab/apt.sh
. "$LAB/apt.sh"

# The kernel packages on offer, as "package version" lines
offered() {
	apt-cache "${APT_OPTIONS[@]}" dumpavail |
		awk '/^Package: linux-/ { name = $2 } /^Version: / && name { print name, $2; name = "" }'
}

# package_set RELEASE: the packages that make up a kernel, but for its image; 7.3.4+deb13-amd64 has
# linux-source-7.3
package_set() {
	local release=$1 base=${1%-*} series
	series=$(echo "$release" | cut -d. -f1-2)
	echo "linux-source-$series" "linux-headers-$release" "linux-headers-$base-common" \
		"linux-kbuild-$base" "linux-modules-$release" "linux-base-$release"
}

# image_package VERSION RELEASE: the signed image, or the unsigned one while that is all there is
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

# complete VERSION RELEASE: are all packages of that kernel on offer at one version?
complete() {
	local name
	for name in $(package_set "$2"); do
		is_offered "$name" "$1" || return
	done
	image_package "$1" "$2" >/dev/null
}

# The kernels that could be complete, as "version release" lines, newest first
candidates() {
	sed -En 's/^linux-headers-(7\.[0-9.]+\+deb[0-9]+-amd64) (.*)$/\2 \1/p' <<<"$OFFERED" |
		sort --version-sort --reverse
}

# Sets VERSION and RELEASE: the pinned kernel, or the newest that is complete
choose() {
	local version release
	VERSION='' RELEASE=''
	while read -r version release; do
		complete "$version" "$release" || continue
		if [ "$version" = "$KERNEL_VERSION" ] || [ -z "$VERSION" ]; then
			VERSION=$version RELEASE=$release
		fi
	done < <(candidates)
	[ -n "$VERSION" ] || die "no complete 7.x kernel in $SUITE-backports"
}

download() {
	local dir=$1 name names
	apt-get "${APT_OPTIONS[@]}" update
	OFFERED=$(offered)
	choose
	names="$(package_set "$RELEASE") $(image_package "$VERSION" "$RELEASE")"
	echo "$VERSION" >"$dir/version"
	echo "$RELEASE" >"$dir/release"
	cd "$dir"
	for name in $names; do
		apt-get "${APT_OPTIONS[@]}" download "$name=$VERSION"
	done
}

make_debs() {
	apt_private
	step kernel-download "Packages of the stock kernel (about 300 MB)" download "$1"
	local taken
	taken=$(<"$1/version")
	[ "$taken" = "$KERNEL_VERSION" ] ||
		say "note: the archive no longer has kernel $KERNEL_VERSION; taking $taken"
}

unpack() {
	local dir=$1
	dpkg-deb --fsys-tarfile "$DEBS"/linux-source-*.deb |
		tar -x --to-stdout --wildcards './usr/src/linux-source-*.tar.xz' |
		xz --decompress --threads=0 |
		tar -x --strip-components=1 -C "$dir"
}

make_source() {
	step kernel-source "Source of the stock kernel" unpack "$1"
}

# Files that are not patched are those of the source itself, by hard links; git makes new files of
# the others.
apply_patches() {
	cp --archive --link --no-target-directory "$SOURCE" "$1"
	in_root --bind "$1:/out:rw" \
		git -C /out apply --verbose "${PATCHES[@]/#"$SRC"//src}"
}

make_patched() {
	step kernel-patch "Patches" apply_patches "$1"
}

artefact debs "$(key "$KERNEL_VERSION" "$SUITE")" make_debs
DEBS=$ARTEFACT
if [ "${1:-}" != --debs ]; then
	artefact source "$(key "$DEBS/version")" make_source
fi
if [ "${1:-}" = --patched ]; then
	SOURCE=$ARTEFACT
	artefact source-patched "$(key "$DEBS/version" "${PATCHES[@]}")" make_patched
fi
echo "$ARTEFACT"
