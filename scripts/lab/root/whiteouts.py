#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""whiteouts.py LIST DIR: makes DIR, the upper layer of an overlay in which the paths in LIST do not
exist. LIST is what git ls-files -z prints."""

import os
import stat
import sys
from pathlib import Path


def main() -> None:
    paths = os.fsdecode(Path(sys.argv[1]).read_bytes()).split("\0")
    top = Path(sys.argv[2])
    made: dict[Path, None] = {}
    for path in sorted(filter(None, paths)):
        whiteout = top / path
        if any(parent in made for parent in whiteout.parents):
            continue
        whiteout.parent.mkdir(parents=True, exist_ok=True)
        if made:
            whiteout.hardlink_to(next(iter(made)))
        else:
            os.mknod(whiteout, stat.S_IFCHR, os.makedev(0, 0))
        made[whiteout] = None


if __name__ == "__main__":
    main()
