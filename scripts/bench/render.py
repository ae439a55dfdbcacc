# SPDX-License-Identifier: GPL-2.0
"""Tables, for the documentation: render.py SET.json DIR writes DIR/SET.txt, and others beside it.

render.py --both BEFORE.json AFTER.json writes two results of a set that measures patches/ side by
side, to stdout.
"""

import sys
from pathlib import Path

import report
from sets import SETS


def write(document: dict, where: Path) -> None:
    name, points = document["set"], document["points"]
    for suffix, table in SETS[name].TABLES.items():
        (where / f"{name}{suffix}.txt").write_text(table(points))


def both(before: dict, after: dict) -> str:
    """A table with the figures before on the left and those after on the right."""
    of = SETS[before["set"]]
    rows = [
        [of.row(one["labels"]), *of.figures(one), *of.figures(other)]
        for one, other in zip(before["points"], after["points"], strict=True)
    ]
    return report.table(["job", *of.COLUMNS, *of.COLUMNS], rows)


def main() -> None:
    if sys.argv[1] == "--both":
        print(both(*(report.load(Path(path)) for path in sys.argv[2:])), end="")
    else:
        write(report.load(Path(sys.argv[1])), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
