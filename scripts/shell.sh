#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# shell.sh: starts a shell in a guest with an NVMe drive and the module loaded. KERNEL=test selects the
# test kernel.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

kernel=${KERNEL:-stock}
[ -t 0 ] || die "a shell needs a terminal"
lab module "$kernel" >/dev/null
lab samples >/dev/null
say "a guest with /dev/nvme0n1; the checkout is at /src; ctrl-d ends it"
lab boot --kernel "$kernel" --drive nvme --shell
