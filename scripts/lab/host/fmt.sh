#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fmt.sh: formats the Rust and Python files of the checkout.

# shellcheck source=scripts/lab/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=scripts/lab/lib/checkout.sh
. "$LAB/lib/checkout.sh"

format() {
	local kernel tools
	kernel=$(lab kernel-source)
	tools=$(lab tools)
	in_root --bind "$kernel:/usr/src" --bind "$SRC:/src:rw" --bind "$tools:/out" bash -euc "
		rustfmt --edition 2021 --config-path /usr/src/.rustfmt.toml ${RUST_FILES[*]@Q}
		/out/bin/ruff format --no-cache --config scripts/lab/config/ruff.toml ${PYTHON_FILES[*]@Q}"
}

need_root
find_sources
step fmt "Formatting" format
