#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""words.py FILE...: prints the lines that have a word of words.txt, and fails if there are any.

Texts name the actor instead: the issuer, the submitter, the reaper, blk-mq, the VFS. A line break
inside a phrase is ignored, and so are the marks that begin a line of a comment.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

WORDS = (Path(__file__).parent / "words.txt").read_text().splitlines()
SPACE = r"(?:[ \t]+|\s*\n[ \t]*(?:///?|//!|#|\*)?[ \t]*)"
FORBIDDEN = re.compile(
    rf"\b(?:{'|'.join(word.replace(' ', SPACE) for word in WORDS)})\b", re.IGNORECASE
)


def findings(text: str) -> Iterator[tuple[int, str]]:
    """Gives the line number and the text of each forbidden word."""
    for match in FORBIDDEN.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split())


def main() -> int:
    status = 0
    for name in sys.argv[1:]:
        for line, words in findings(Path(name).read_text(errors="replace")):
            print(f"{name}:{line}: {words}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
