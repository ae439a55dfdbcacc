#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# harness.sh: fetches the source of libaio and builds the programs that it is tested with; prints the
# folder. In guests they are in /build/samples/harness.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/apt.sh
. "$LAB/lib/apt.sh"

# Programs that take minutes under emulation, or more memory than a guest has, get smaller numbers.
SMALLER=('6.t 768 32' '11.t 1000000 20000' '14.t 768 32' '18.t 1000 4')

# download DIR: unpacks harness/ of libaio's source into DIR
download() {
	local mirror
	mirror=$(apt_mirror)
	/usr/lib/apt/apt-helper download-file \
		"${mirror%/}/pool/main/liba/libaio/libaio_$LIBAIO.orig.tar.gz" "$1/tar.gz" "SHA256:$LIBAIO_SHA256"
	tar -x --strip-components=2 -C "$1" -f "$1/tar.gz" "libaio-$LIBAIO/harness"
	rm "$1/tar.gz"
}

# make_smaller DIR: replaces the numbers of SMALLER; fails if one is not there
make_smaller() {
	local entry file old new
	for entry in "${SMALLER[@]}"; do
		read -r file old new <<<"$entry"
		grep -q -w "$old" "$1/cases/$file"
		sed -i "s/\b$old\b/$new/g" "$1/cases/$file"
	done
}

build() {
	in_root --bind "$1:/build:rw" make -C /build LIBAIO=-laio -j"$(nproc)" all
}

make_harness() {
	step harness-source "Source of libaio's tests" download "$1"
	make_smaller "$1"
	step harness "Tests of libaio" build "$1"
}

need_root
artefact harness "$(key "$LAB/host/harness.sh" "$LIBAIO_SHA256" "$(lab root)")" make_harness
to_samples harness
