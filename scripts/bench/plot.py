# SPDX-License-Identifier: GPL-2.0
"""The picture of a set, if it has one: plot.py SET.json DIR leaves DIR/SET.svg and DIR/SET.png."""

import sys
from collections.abc import Callable
from pathlib import Path

import report
from matplotlib import pyplot as plt
from matplotlib import rcParams

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
    points: list[dict],
    row: Callable[[dict], str],
    series: Callable[[dict], str],
    value: Callable[[dict], float],
    unit: str,
) -> plt.Figure:
    """Horizontal bars, one group for each row."""
    rows, kinds = list(panels(points, row)), list(panels(points, series))
    figure, axes = plt.subplots(figsize=(7, 1 + INCHES_PER_BAR * len(rows) * len(kinds)))
    height = 0.8 / len(kinds)
    for index, kind in enumerate(kinds):
        chosen = [point for point in points if series(point["labels"]) == kind]
        places = [rows.index(row(point["labels"])) + index * height for point in chosen]
        axes.barh(places, [value(point) for point in chosen], height, label=kind)
    axes.set_yticks([index + 0.4 - height / 2 for index in range(len(rows))], rows)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.legend()
    return figure


def disk(points: list[dict]) -> plt.Figure:
    return bars(
        points,
        lambda of: f"{of['mode']} {of['rw']}",
        lambda of: of["driver"],
        report.instructions,
        "instructions an I/O",
    )


def path(points: list[dict]) -> plt.Figure:
    return bars(
        points,
        lambda of: f"{of['device']} {of['issuer']} {of['rw']}",
        lambda of: of["path"],
        report.instructions,
        "instructions an I/O",
    )


def classes(points: list[dict]) -> plt.Figure:
    return bars(
        points,
        lambda of: f"{of['class']} QD{of['depth']}",
        lambda of: of["filesystem"],
        report.rate,
        "IOPS",
    )


def reactor(points: list[dict]) -> plt.Figure:
    figure = bars(
        points,
        report.way,
        lambda of: of["filesystem"],
        lambda point: point["told"]["mean"] / 1000,
        "µs until a completion is seen, mean",
    )
    figure.gca().set_xscale("log")
    return figure


def policies(points: list[dict]) -> plt.Figure:
    """IOPS by queue depth, one panel for each way in which I/O is done."""
    figure, grid = plt.subplots(2, 2, figsize=(7, 6), sharex=True)
    ways = panels(points, lambda of: f"{report.way(of).rpartition(' ')[0]}")
    for axes, (name, chosen) in zip(grid.flat, ways.items(), strict=True):
        for policy, line in panels(chosen, lambda of: of["policy"]).items():
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
