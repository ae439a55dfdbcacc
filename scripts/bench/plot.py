# SPDX-License-Identifier: GPL-2.0
"""The picture of a set, if it has one: plot.py SET.json DIR writes DIR/SET.svg."""

import sys
from collections.abc import Callable
from pathlib import Path

import report
from matplotlib import pyplot as plt
from matplotlib import rcParams
from sets import SETS

# The same figures make the same file.
rcParams.update({"svg.hashsalt": "rnull-dio", "svg.fonttype": "none", "font.size": 8})

# The columns that are this module's have a colour, the others are grey.
OURS = ("diofs", "rnull_dio", "auto")
# What columns and panels are called in pictures, where that is more than in tables
NAMES = {
    "auto": "auto (this module)",
    "brd": "RAM disk (brd)",
    "defer": "defer (Linux 6.6)",
    "diofs": "diofs (this module)",
    "inline": "inline (Linux 6.19)",
    "null": "null disk (this module)",
    "rnull_dio": "rnull_dio (this module)",
    "workqueue": "workqueue (Linux 6.5)",
}
OUR_COLOUR = "#d55e00"
GREYS = ("#c8c8c8", "#969696", "#5a5a5a")
MARKERS = ("s", "^", "D")

BAR = 0.14
GAP = 0.1
LESS, MORE = "less is better", "more is better"

Value = Callable[[dict], float]
Name = Callable[[dict], str]


def grouped(points: list[dict], key: Name) -> dict[str, list[dict]]:
    """Groups points by a label, in the order in which they come."""
    groups: dict[str, list[dict]] = {}
    for point in points:
        groups.setdefault(key(point["labels"]), []).append(point)
    return groups


def colours(names: list[str]) -> dict[str, str]:
    """A colour for each column."""
    others = [name for name in names if name not in OURS]
    return dict(zip(others, GREYS, strict=False)) | dict.fromkeys(OURS, OUR_COLOUR)


def bars(axes: plt.Axes, points: list[dict], row: Name, column: Name, value: Value) -> float:
    """Horizontal bars with their values: a group for each row, with a bar for each of its points.
    Returns the height that they need, in inches."""
    colour = colours(list(grouped(points, column)))
    places, drawn, top = {}, set(), 0.0
    for name, group in grouped(points, row).items():
        places[name] = top + BAR * len(group) / 2
        for index, point in enumerate(group):
            of, length = column(point["labels"]), value(point)
            label = None if of in drawn else NAMES.get(of, of)
            drawn.add(of)
            bar = axes.barh(top + BAR * (index + 0.5), length, BAR, color=colour[of], label=label)
            axes.bar_label(bar, [f"{length:.{length < 100:d}f}"], padding=2, fontsize=6)
        top += BAR * len(group) + GAP
    axes.set_yticks(list(places.values()), list(places))
    axes.set_ylim(top, -GAP)
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return top + GAP


def chart(points: list[dict], name: str, value: Value, unit: str, panel: Name) -> plt.Figure:
    """A picture of the set `name`: bars, in a panel for each thing of the groups of `panel`."""
    panels = grouped(points, panel)
    figure, grid = plt.subplots(1, len(panels), squeeze=False)
    needed = 0.0
    for axes, (title, chosen) in zip(grid.flat, panels.items(), strict=True):

        def row(labels: dict, title: str = title) -> str:
            return SETS[name].row(labels).removeprefix(f"{title} ")

        needed = max(needed, bars(axes, chosen, row, SETS[name].column, value))
        axes.set_title(NAMES.get(title, title))
        axes.set_xlabel(unit)
    figure.set_size_inches(4.5 * len(panels) + 2.5 * (len(panels) == 1), needed + 1)
    legend(figure, grid.flat[0])
    return figure


def legend(figure: plt.Figure, axes: plt.Axes) -> None:
    """The legend of a panel, above all panels."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)


def whole(_labels: dict) -> str:
    """One panel for all."""
    return ""


def disk(points: list[dict]) -> plt.Figure:
    unit = f"instructions of the kernel per I/O ({LESS})"
    return chart(points, "disk", report.instructions, unit, whole)


def path(points: list[dict]) -> plt.Figure:
    unit = f"instructions of the kernel per I/O ({LESS})"
    return chart(points, "path", report.instructions, unit, lambda labels: labels["device"])


def classes(points: list[dict]) -> plt.Figure:
    return chart(points, "classes", report.rate, f"IOPS ({MORE})", whole)


def reactor(points: list[dict]) -> plt.Figure:
    def mean(point: dict) -> float:
        return point["told"]["mean"] / 1000

    unit = f"mean time until a completion is reaped, µs ({LESS})"
    return chart(points, "reactor", mean, unit, whole)


def lines(axes: plt.Axes, points: list[dict]) -> None:
    """IOPS by queue depth, a line for each policy."""
    policies = grouped(points, SETS["policies"].column)
    colour, markers = colours(list(policies)), iter(MARKERS)
    for policy, line in policies.items():
        # Ours is thick and below the others, so that lines that coincide are both visible.
        style = (
            {"linewidth": 4, "zorder": 1, "alpha": 0.8}
            if policy in OURS
            else {"linewidth": 1, "marker": next(markers), "markersize": 4}
        )
        depths = [point["labels"]["depth"] for point in line]
        rates = [report.rate(point) for point in line]
        axes.plot(depths, rates, color=colour[policy], label=NAMES.get(policy, policy), **style)
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.grid(axis="y", linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)


def policies(points: list[dict]) -> plt.Figure:
    """A panel for each way in which I/O is done."""
    figure, grid = plt.subplots(2, 2, figsize=(7, 6), sharey=True)
    ways = grouped(points, lambda labels: report.way(labels).rpartition(" ")[0])
    for axes, (name, chosen) in zip(grid.flat, ways.items(), strict=True):
        lines(axes, chosen)
        axes.set_title(name)
        axes.set_xlabel("queue depth")
    grid[0, 0].set_ylim(0, 1.05 * max(report.rate(point) for point in points))
    for axes in grid[:, 0]:
        axes.set_ylabel(f"IOPS ({MORE})")
    legend(figure, grid.flat[0])
    return figure


def apps(points: list[dict]) -> plt.Figure:
    """A panel for each figure, with those of the module as a share of the kernel's."""
    of = SETS["apps"]
    figure, grid = plt.subplots(1, len(of.FIGURES), sharey=True, figsize=(10, 4))
    pairs = of.pairs(points)
    for axes, (name, title) in zip(grid, of.FIGURES.items(), strict=True):
        shares = {
            row: sides["module"]["values"][name] / kernel
            for row, sides in pairs.items()
            if (kernel := sides["kernel"]["values"][name])
        }
        axes.barh(list(pairs), [shares.get(row, 0) for row in pairs], color=OUR_COLOUR)
        for row, share in shares.items():
            axes.text(share, row, f" {share:.2f}", va="center", fontsize=6)
        axes.axvline(1, color=GREYS[-1], linewidth=1)
        axes.margins(x=0.2)
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].invert_yaxis()
    figure.supxlabel(f"this module, with the kernel's own code as 1 ({LESS})")
    return figure


PLOTS = {
    "apps": apps,
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
    figure.set_layout_engine("constrained")
    figure.savefig(where / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
