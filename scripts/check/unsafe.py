#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""unsafe.py FILE...: fails if a Rust file has the keyword `unsafe`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import rust_source

KEYWORD = re.compile(r"\bunsafe\b")


def findings(text: str) -> Iterator[int]:
    """Gives the lines with the keyword."""
    code = rust_source.code_of(text)
    for match in KEYWORD.finditer(code):
        yield rust_source.line_of(code, match.start())


def main() -> int:
    status = 0
    for name in sys.argv[1:]:
        for line in findings(Path(name).read_text()):
            print(f"{name}:{line}: unsafe code belongs in rust/kernel_ext")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
