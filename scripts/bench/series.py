# SPDX-License-Identifier: GPL-2.0
"""What patches/ change: series.py BEFORE.json AFTER.json. A table to stdout."""

import sys
from pathlib import Path

import report


def name(labels: dict[str, object]) -> str:
    words = [labels["filesystem"], "polled" if labels["polled"] else "interrupts"]
    words += ["cached"] if labels["cached"] else []
    return f"{' '.join(map(str, words))} QD{labels['depth']}"


def figures(point: dict) -> list[str]:
    values = point["values"]
    mark = "" if point["exact"] else "~"
    return [
        f"{mark}{report.instructions(point):.0f}",
        f"{values['switches']:.2f}",
        f"{values['work']:.2f}",
    ]


def main() -> None:
    before, after = (report.by_labels(report.load(Path(path))) for path in sys.argv[1:3])
    header = [
        "job",
        "instructions",
        "switches",
        "work items",
        "instructions",
        "switches",
        "work items",
    ]
    rows = [
        [name(before[key]["labels"]), *figures(before[key]), *figures(after[key])] for key in before
    ]
    print(report.table(header, rows), end="")


if __name__ == "__main__":
    main()
