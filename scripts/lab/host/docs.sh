#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# docs.sh: builds the documentation as HTML; prints the path of the index. A warning is an error.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

build() {
	in_root --bind "$out:/out:rw" \
		sphinx-build -W --keep-going -q -E -d /tmp/doctrees -b html /src/Documentation /out
}

need_root
out=$(build_dir docs)
lab root >/dev/null
mkdir -p "$out"
step docs "Documentation" build
echo "$out/index.html"
