# SPDX-License-Identifier: GPL-2.0
"""Tables of a set, for the documentation: render.py SET.json, to stdout."""

import sys
from collections.abc import Callable
from pathlib import Path

import report


def grid(
    points: list[dict],
    row: Callable[[dict], str],
    column: Callable[[dict], str],
    cell: Callable[[dict], str],
) -> str:
    """A table of points, by what their labels say; where there is no point, a dash."""
    rows, columns = {}, {}
    for point in points:
        columns[column(point["labels"])] = None
        rows.setdefault(row(point["labels"]), {})[column(point["labels"])] = cell(point)
    lines = [[name, *(cells.get(name_, "-") for name_ in columns)] for name, cells in rows.items()]
    return report.table(["job", *columns], lines)


def cost(point: dict) -> str:
    mark = "" if point["exact"] else "~"
    return f"{mark}{report.instructions(point):.0f}"


def disk(points: list[dict]) -> str:
    return grid(points, lambda of: f"{of['mode']} {of['rw']}", lambda of: of["driver"], cost)


def path(points: list[dict]) -> str:
    return grid(
        points,
        lambda of: f"{of['device']} {of['issuer']} {of['rw']}",
        lambda of: of["path"],
        cost,
    )


def iops(point: dict) -> str:
    mark = "" if point["exact"] else "~"
    values = point["values"]
    rate = f"{mark}{1e9 / values['nanoseconds']:.0f}"
    return f"{rate} ({values['switches']:.1f}, {values['work']:.1f})"


def policies(points: list[dict]) -> str:
    def row(of: dict[str, object]) -> str:
        words = ["polled" if of["polled"] else "interrupts"] + ["cached"] * bool(of["cached"])
        return f"{' '.join(words)} QD{of['depth']}"

    return grid(points, row, lambda of: of["policy"], iops)


def key(points: list[dict]) -> str:
    return grid(points, lambda of: of["job"], lambda _: "instructions", cost)


TABLES = {"disk": disk, "key": key, "path": path, "policies": policies}


def main() -> None:
    document = report.load(Path(sys.argv[1]))
    print(TABLES[document["set"]](document["points"]), end="")


if __name__ == "__main__":
    main()
