#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs in a guest. Loads the module, which runs its KUnit suites, and looks for leaks.

set -euo pipefail

KMEMLEAK=/sys/kernel/debug/kmemleak

# kmemleak reports an object only when it is a few seconds old, and after two scans.
scan() {
	sleep 6
	echo scan >"$KMEMLEAK"
	echo scan >"$KMEMLEAK"
}

echo clear >"$KMEMLEAK"
echo 'lab: kunit begins' >/dev/kmsg
insmod /build/rnull_dio.ko
scan
echo 'lab: kunit ends' >/dev/kmsg
cat "$KMEMLEAK" >/results/kmemleak
rmmod rnull_dio
