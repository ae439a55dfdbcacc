#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# distclean.sh: removes the cache: roots, kernels, builds, logs.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

say "removing $CACHE"
rm -rf "$CACHE"
