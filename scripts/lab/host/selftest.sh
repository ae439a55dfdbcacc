#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# selftest.sh: builds the selftest in patches/; prints the folder. In guests it is at
# /build/samples/dio_completion_test.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

build() {
	in_root --bind "$source:/mnt" --bind "$samples:/build:rw" \
		make -C /mnt/tools/testing/selftests/filesystems/dio_completion OUTPUT=/build
}

need_root
samples=$(build_dir samples)
source=$(lab kernel-source --patched)
mkdir -p "$samples"
step selftest "Selftest of the patches" build
echo "$samples"
