# SPDX-License-Identifier: GPL-2.0
"""The table of a set, for the documentation: render.py SET.json, to stdout.

Of the sets that tell what patches/ change, two side by side: render.py BEFORE.json AFTER.json
"""

import sys
from pathlib import Path

import report
from sets import SETS, series


def main() -> None:
    documents = [report.load(Path(path)) for path in sys.argv[1:]]
    points = [document["points"] for document in documents]
    table = series.both if len(points) == 2 else SETS[documents[0]["set"]].table
    print(table(*points), end="")


if __name__ == "__main__":
    main()
