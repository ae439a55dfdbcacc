#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kernel-source.sh [--debs|--first|--patched]: fetches the packages of the stock kernel and unpacks its
# source; prints the path of the source tree. With --patched, prints a tree with the patches in patches/
# applied, and with --first, with the first one only. With --debs, prints the folder of the packages, in
# which "version" is the packages' version and "release" is the kernel's uname -r.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

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

# candidates: prints all 7.x kernels, as "version release" lines, newest first
candidates() {
	sed -En 's/^linux-headers-(7\.[0-9.]+\+deb[0-9]+-amd64) (.*)$/\2 \1/p' <<<"$OFFERED" |
		sort --version-sort --reverse
}

# choose: sets VERSION and RELEASE to the pinned kernel, or to the newest one that is complete
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

# Copies by hard links. git writes new files in place of those that it patches, so that the original
# tree does not change.
apply_patches() {
	cp --archive --link --no-target-directory "$SOURCE" "$1"
	in_root --bind "$1:/out:rw" \
		git -C /out apply --verbose "${APPLIED[@]/#"$SRC"//src}"
}

make_patched() {
	step kernel-patch "Patches" apply_patches "$1"
}

artefact debs "$(key "$KERNEL_VERSION" "$SUITE")" make_debs
DEBS=$ARTEFACT
if [ "${1:-}" != --debs ]; then
	artefact source "$(key "$DEBS/version")" make_source
fi
case ${1:-} in
--first) APPLIED=("${PATCHES[0]}") ;;
--patched) APPLIED=("${PATCHES[@]}") ;;
*) APPLIED=() ;;
esac
if [ ${#APPLIED[@]} -gt 0 ]; then
	SOURCE=$ARTEFACT
	artefact "source-${1#--}" "$(key "$DEBS/version" "${APPLIED[@]}")" make_patched
fi
echo "$ARTEFACT"
