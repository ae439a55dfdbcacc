#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb-root.sh: makes a Debian root with the tools that packages are built with; prints its path.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

PACKAGES=dpkg-dev,debhelper,fakeroot,lintian

make_deb_root() {
	step deb-root "Debian root for packaging" debootstrap_into "$1" "$PACKAGES"
	mkdir -p "$1"/{src,build}
}

lab root >/dev/null
artefact deb-root "$(key "$PACKAGES" "$SUITE")" make_deb_root
echo "$ARTEFACT"
