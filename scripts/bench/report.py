# SPDX-License-Identifier: GPL-2.0
"""Tables of measurements, as text that is also reStructuredText."""

import json
from collections.abc import Callable
from pathlib import Path

Labels = tuple[tuple[str, object], ...]


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def by_labels(document: dict) -> dict[Labels, dict]:
    return {tuple(sorted(point["labels"].items())): point for point in document["points"]}


def instructions(point: dict) -> float:
    """Those of the kernel, without those of the program."""
    return point["values"]["kernel"]


def marked(point: dict, text: str, value: str) -> str:
    """A figure that is not the same in each run has a mark, and half of the spread of its runs."""
    return text if point["exact"] else f"~{text}±{point['spread'][value] / 2:.1%}"


def cost(point: dict) -> str:
    return marked(point, f"{instructions(point):.0f}", "kernel")


def rate(point: dict) -> float:
    """I/Os a second, of the guest's time"""
    return 1e9 / point["values"]["nanoseconds"]


def iops(point: dict) -> str:
    return marked(point, f"{rate(point):.0f}", "nanoseconds")


def iops_and(point: dict, *names: str) -> str:
    """IOPS, and in parentheses these figures per I/O"""
    figures = (f"{point['values'][name]:.2f}" for name in names)
    return f"{iops(point)} ({', '.join(figures)})"


def way(labels: dict[str, object]) -> str:
    """How I/O is done"""
    words = ["polled" if labels["polled"] else "interrupts"] + ["cached"] * bool(labels["cached"])
    return f"{' '.join(words)} QD{labels['depth']}"


def grid(
    points: list[dict],
    row: Callable[[dict], str],
    column: Callable[[dict], str],
    cell: Callable[[dict], str],
) -> str:
    """A table of points, by their labels. A cell without a point has "n/a": a dash would be a list
    in reStructuredText."""
    rows, columns = {}, {}
    for point in points:
        columns[column(point["labels"])] = None
        rows.setdefault(row(point["labels"]), {})[column(point["labels"])] = cell(point)
    lines = [
        [name, *(cells.get(name_, "n/a") for name_ in columns)] for name, cells in rows.items()
    ]
    return table(["job", *columns], lines)


def rows(
    points: list[dict],
    row: Callable[[dict], str],
    columns: list[str],
    figures: Callable[[dict], list[str]],
) -> str:
    """A table with a row for each point, and some of its figures in it."""
    lines = [[row(point["labels"]), *figures(point)] for point in points]
    return table(["job", *columns], lines)


def table(header: list[str], rows: list[list[str]]) -> str:
    """A simple table; all but the first column are numbers."""
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return "  ".join(cells).rstrip()

    return "\n".join([rule, line(header), rule, *(line(row) for row in rows), rule]) + "\n"
