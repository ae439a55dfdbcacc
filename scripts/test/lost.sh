#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lost.sh MISTAKE: runs in a guest. The test of power cuts must fail with a module with that mistake,
# which acknowledges writes that are not durable.

set -eu

status=0
FULL=1 CUTS=10 MODULE=/build/$1/rnull_dio.ko python3 -m pytest -p no:cacheprovider -k ext4 \
	/src/tests/disk/test_power_cuts.py >/run/output || status=$?
[ "$status" -eq 1 ] || { tail /run/output; exit 1; }
grep -m 3 -E 'AssertionError: .*-(dsync|fdatasync): ' /run/output
