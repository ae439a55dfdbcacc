# SPDX-License-Identifier: GPL-2.0
"""Tables, for the documentation: render.py SET.json DIR leaves DIR/SET.txt, and others beside it.

Of the sets that tell what patches/ change, two side by side, to stdout:
render.py --both BEFORE.json AFTER.json
"""

import sys
from pathlib import Path

import report
from sets import SETS, series


def write(document: dict, where: Path) -> None:
    name, points = document["set"], document["points"]
    for suffix, table in SETS[name].TABLES.items():
        (where / f"{name}{suffix}.txt").write_text(table(points))


def main() -> None:
    if sys.argv[1] == "--both":
        before, after = (report.load(Path(path))["points"] for path in sys.argv[2:])
        print(series.both(before, after), end="")
    else:
        write(report.load(Path(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
