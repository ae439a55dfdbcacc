#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh: makes Debian packages of the tools, and of the module for the stock kernel; prints their paths.
# lintian must have nothing to say about them.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

VERSION=0.1

# fill FILE: replaces the names in it
fill() {
	sed -i "s/@RELEASE@/$RELEASE/; s/@VERSION@/$VERSION/; s/@DATE@/$(date --rfc-email --date=@"$EPOCH")/" "$1"
}

# stage: copies what is packaged to $work/src
stage() {
	local dir=$work/src file
	rm -rf "$work"
	mkdir -p "$dir/module"
	cp -r "$SRC/scripts/deb/debian" "$SRC/tools" "$dir/"
	rm -rf "$dir/tools/rnull_dio_tool/__pycache__"
	cp "$module" "$dir/module/"
	for file in "$dir"/debian/rnull-dio-modules.*; do
		mv "$file" "${file/rnull-dio-modules/rnull-dio-modules-$RELEASE}"
	done
	for file in "$dir"/debian/*; do
		[ ! -f "$file" ] || fill "$file"
	done
}

manual_pages() {
	in_root --bind "$work/src:/out:rw" \
		sphinx-build -W --keep-going -q -E -d /tmp/doctrees -b man /src/Documentation /out/man
}

package() {
	in_root --root "$root" --bind "$work:/build:rw" --env "SOURCE_DATE_EPOCH=$EPOCH" \
		sh -c 'cd /build/src && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps'
}

check() {
	in_root --root "$root" --bind "$work:/build" \
		sh -c 'lintian --allow-root --fail-on error,warning,info /build/*.changes'
}

need_root
root=$(lab deb-root)
RELEASE=$(<"$(lab stock)/release")
EPOCH=$(git -c safe.directory="$SRC" -C "$SRC" log -1 --format=%ct 2>/dev/null || date +%s)
module=$(lab module stock)
work=$(build_dir deb)
stage
step deb-man "Manual pages" manual_pages
step deb-package "Packages" package
step deb-lintian "lintian" check
printf '%s\n' "$work"/*.deb
