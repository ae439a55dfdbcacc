# SPDX-License-Identifier: GPL-2.0
"""Rust source text, for checks that look at code only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Raw strings before strings, and character literals without lifetimes
NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|b?r(?P<hashes>#*)\".*?\"(?P=hashes)"
    r"|b?c?\"(?:\\.|[^\"\\])*\"|b?'(?:\\.[^']*|[^'\\])'",
    re.DOTALL,
)
INLINE_MOD = re.compile(r"\bmod (\w+)\s*\{")
FUNCTION = re.compile(r"^[^\S\n]*(?:[\w():\"]+[^\S\n]+)*?fn (\w+)", re.MULTILINE)


@dataclass
class Block:
    """A named block: where it begins, with its name, and the offset behind its closing brace."""

    name: str
    start: int
    end: int


def code_of(text: str) -> str:
    """Returns the text with comments and literals blanked; offsets and lines stay the same."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def line_of(code: str, offset: int) -> int:
    return code.count("\n", 0, offset) + 1


def block_end(code: str, opening: int) -> int:
    """Returns the offset behind the brace that closes the one at OPENING."""
    depth = 0
    for match in re.compile(r"[{}]").finditer(code, opening):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(code)


def inline_mods(code: str) -> Iterator[Block]:
    for match in INLINE_MOD.finditer(code):
        yield Block(match[1], match.start(), block_end(code, match.end() - 1))


def functions(code: str) -> Iterator[Block]:
    """Gives the functions that have a body."""
    for match in FUNCTION.finditer(code):
        body = re.compile(r"[{;]").search(code, signature_end(code, match.end()))
        if body and body[0] == "{":
            yield Block(match[1], match.end(), block_end(code, body.start()))


def signature_end(code: str, offset: int) -> int:
    """Returns the offset behind the parameters, so that ";" in an array type is skipped."""
    depth = 0
    for match in re.compile(r"[()]").finditer(code, offset):
        depth += 1 if match[0] == "(" else -1
        if depth == 0:
            return match.end()
    return len(code)
