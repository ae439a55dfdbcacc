#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# page.sh DIR: makes a page from DIR/page/index.rst, in DIR/html; prints its path.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"

build() {
	in_root --bind "$dir:/out:rw" sphinx-build -W --keep-going -q -E -d /tmp/doctrees -b html \
		-c /src/scripts/page /out/page /out/html
}

dir=$1
step page "Page" build
echo "$dir/html/index.html"
