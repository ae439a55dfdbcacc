#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs our KUnit suites in a guest: they run when the module is loaded. Then looks for leaks.

set -euo pipefail

KMEMLEAK=/sys/kernel/debug/kmemleak

# An object has to be a few seconds old before kmemleak speaks of it, and is seen in two scans.
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
