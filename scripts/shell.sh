#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# shell.sh: starts a shell in a guest with an NVMe drive and the module loaded. KERNEL=test selects the
# test kernel, and TREE the kernel of a source tree.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/lab/lib.sh"

[ -t 0 ] || die "a shell needs a terminal"
choose_kernel plain "${KERNEL:-stock}"
lab module "$KERNEL" >/dev/null
lab samples >/dev/null
say "a guest with /dev/nvme0n1; the checkout is at /src; ctrl-d ends it"
lab boot --kernel "$KERNEL" --drive nvme --shell
