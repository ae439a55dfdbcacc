#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""selftest.py: runs each check on a text that it must pass, and on texts in which it must fail."""

import sys
import tempfile
from pathlib import Path

import imports
import sizes
import unsafe
import words

LONG = "    x();\n" * 60

# By path below the crate's folder; two.rs names an item of one.rs that lib.rs re-exports.
NO_CIRCLE = {
    "lib.rs": "mod one;\nmod two;\npub use one::One;\npub use two::Two;\n",
    "one.rs": "pub struct One; // crate::Two\n",
    "two.rs": "use super::One;\npub struct Two(One);\n",
}
TRAIT_OF_ONE_FOLDER = {
    "lib.rs": "mod one;\nmod two;\n",
    "one.rs": "pub trait One { fn f(_: crate::two::Two); }\n",
    "two.rs": "use super::one::One;\npub struct Two;\nimpl One for Two {}\n",
}
CIRCLES = {
    "a use of a re-export": {**NO_CIRCLE, "one.rs": "use crate::Two;\npub struct One(Two);\n"},
    "a path": {**NO_CIRCLE, "one.rs": "pub struct One(super::Two);\n"},
    "a path by an imported module": {
        **NO_CIRCLE,
        "one.rs": "use crate::two;\npub struct One(two::Two);\n",
    },
    "a path in unit tests": {
        **NO_CIRCLE,
        "one.rs": "pub struct One;\nmod tests {\n use super::*;\n use super::super::Two;\n}\n",
    },
    "a trait of another folder": {
        "lib.rs": "mod one;\nmod two;\n",
        "one.rs": "mod inner;\nuse crate::two::inner::Two;\npub struct One(Two);\n",
        "one/inner.rs": "pub trait Far {}\n",
        "two.rs": "pub mod inner;\n",
        "two/inner.rs": "use crate::one::One;\npub struct Two(One);\n",
    },
}


def has_circle(files: dict[str, str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return any(imports.circles(imports.Crate(Path(folder)).imports))


def fails_on_size(name: str, text: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        return any(sizes.findings(path))


def results() -> dict[str, bool]:
    """Returns, for each case, whether the check gave the right answer."""
    word = words.WORDS[-1]
    pair = next(each for each in words.WORDS if " " in each).replace(" ", "\n    /// ")
    cases = {f"imports: {name}": has_circle(files) for name, files in CIRCLES.items()}
    return cases | {
        "imports: no circle": not has_circle(NO_CIRCLE),
        "imports: a trait of the same folder": not has_circle(TRAIT_OF_ONE_FOLDER),
        "words: a word": any(words.findings(f"A task, {word.title()}")),
        "words: a phrase with a line break": any(words.findings(f"    /// A task {pair}.\n")),
        "words: part of a word": not any(words.findings(f"a{word}a")),
        "unsafe: a block": any(unsafe.findings('fn f() { g("", unsafe { h() }) }')),
        "unsafe: a comment": not any(unsafe.findings("// unsafe\nf()")),
        "unsafe: a string": not any(unsafe.findings('f("unsafe \\" unsafe")')),
        "sizes: Rust": fails_on_size("a.rs", f"pub fn f<'a>(x: [u8; 2]) {{\n{LONG}}}\n"),
        "sizes: a Rust file": fails_on_size("a.rs", "const A: u8 = 1;\n" * 401),
        "sizes: C": fails_on_size("a.c", f"static int f(int a,\n\t\tint b)\n{{\n{LONG}}}\n"),
        "sizes: shell": fails_on_size("a.sh", f"#!/bin/bash\nf() {{\n{LONG}}}\n"),
        "sizes: Python": fails_on_size("a.py", f"def f():\n{LONG}"),
        "sizes: unit tests": not fails_on_size("a.rs", f"mod tests {{\n{LONG * 7}}}\n"),
        "sizes: two short functions": not fails_on_size(
            "a.rs", f"fn f() {{\n{LONG[:270]}}}\nfn g() {{\n{LONG[:270]}}}\n"
        ),
    }


def main() -> int:
    wrong = [name for name, right in results().items() if not right]
    for name in wrong:
        print(f"wrong answer: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
