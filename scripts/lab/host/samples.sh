#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# samples.sh: builds the programs in samples/; prints the folder. In guests they are at
# /build/samples.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

build() {
	in_root --bind "$samples:/build:rw" make -C samples O=/build CFLAGS='-O2 -g -Werror'
}

need_root
samples=$(build_dir samples)
lab root >/dev/null
mkdir -p "$samples"
step samples "Samples" build
echo "$samples"
