# SPDX-License-Identifier: GPL-2.0
"""The picture of a set, if it has one: plot.py SET.json DIR leaves DIR/SET.svg and DIR/SET.png."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import report
from matplotlib import pyplot as plt
from matplotlib import rcParams
from sets import SETS

# The same figures are the same file.
rcParams.update({"svg.hashsalt": "rnull-dio", "svg.fonttype": "none", "font.size": 8})
INCHES_PER_BAR = 0.22


def panels(points: list[dict], key: Callable[[dict], str]) -> dict[str, list[dict]]:
    """Groups points, in the order in which they come."""
    groups: dict[str, list[dict]] = {}
    for point in points:
        groups.setdefault(key(point["labels"]), []).append(point)
    return groups


def bars(
    points: list[dict], placed: ModuleType, value: Callable[[dict], float], unit: str
) -> plt.Figure:
    """Horizontal bars, placed by a set: a group for each row, with a bar for each column."""
    rows, columns = panels(points, placed.row), panels(points, placed.column)
    figure, axes = plt.subplots(figsize=(7, 1 + INCHES_PER_BAR * len(rows) * len(columns)))
    height = 0.8 / len(columns)
    places = {name: index for index, name in enumerate(rows)}
    for index, (name, column) in enumerate(columns.items()):
        where = [places[placed.row(point["labels"])] + index * height for point in column]
        axes.barh(where, [value(point) for point in column], height, label=name)
    axes.set_yticks([index + 0.4 - height / 2 for index in range(len(rows))], list(rows))
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.legend()
    return figure


def disk(points: list[dict]) -> plt.Figure:
    return bars(points, SETS["disk"], report.instructions, "instructions an I/O")


def path(points: list[dict]) -> plt.Figure:
    return bars(points, SETS["path"], report.instructions, "instructions an I/O")


def classes(points: list[dict]) -> plt.Figure:
    return bars(points, SETS["classes"], report.rate, "IOPS")


def reactor(points: list[dict]) -> plt.Figure:
    mean = "µs until a completion is seen, mean"
    figure = bars(points, SETS["reactor"], lambda point: point["told"]["mean"] / 1000, mean)
    figure.gca().set_xscale("log")
    return figure


def policies(points: list[dict]) -> plt.Figure:
    """IOPS by queue depth, one panel for each way in which I/O is done."""
    figure, grid = plt.subplots(2, 2, figsize=(7, 6), sharex=True)
    ways = panels(points, lambda of: f"{report.way(of).rpartition(' ')[0]}")
    for axes, (name, chosen) in zip(grid.flat, ways.items(), strict=True):
        for policy, line in panels(chosen, SETS["policies"].column).items():
            depths = [point["labels"]["depth"] for point in line]
            axes.plot(depths, [report.rate(point) for point in line], marker=".", label=policy)
        axes.set_title(name)
        axes.set_xscale("log", base=2)
        axes.set_ylim(bottom=0)
        axes.set_ylabel("IOPS")
        axes.set_xlabel("queue depth")
    grid.flat[0].legend()
    return figure


PLOTS = {
    "classes": classes,
    "disk": disk,
    "path": path,
    "policies": policies,
    "reactor": reactor,
}


def main() -> None:
    document, where = report.load(Path(sys.argv[1])), Path(sys.argv[2])
    name = document["set"]
    if name not in PLOTS:
        return
    figure = PLOTS[name](document["points"])
    figure.tight_layout()
    for kind, metadata in ("svg", {"Date": None}), ("png", {"Software": None}):
        figure.savefig(where / f"{name}.{kind}", metadata=metadata, dpi=120)


if __name__ == "__main__":
    main()
