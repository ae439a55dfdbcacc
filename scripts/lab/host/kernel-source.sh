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
# shellcheck source=scripts/lab/lib/archive.sh
. "$LAB/lib/archive.sh"

# The next command makes the list of kernels anew, because the archive may have changed if this fails.
download() {
	local dir=$1 name names
	rm -f "$CACHE/apt/kernels"
	names=$(packages_of "$VERSION" "$RELEASE")
	echo "$VERSION" >"$dir/version"
	echo "$RELEASE" >"$dir/release"
	cd "$dir"
	for name in $names; do
		apt-get "${APT_OPTIONS[@]}" download "$name=$VERSION"
	done
}

make_debs() {
	apt_private
	step kernel-download "Packages of kernel $RELEASE (about 300 MB)" download "$1"
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

read -r VERSION RELEASE < <(newest_kernel)
artefact debs "$(key "$VERSION" "$SUITE")" make_debs
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
