# SPDX-License-Identifier: GPL-2.0
"""io_uring, overwrites: with pages in the cache and without, polled and not."""

from collections.abc import Iterator
from pathlib import Path

import report
from points import FILESYSTEMS, Point, filesystem, overwrites, ways

COLUMNS = ["instructions", "switches", "work items"]


def points(device: Path, is_drive: bool) -> Iterator[Point]:
    """When a work item gets the CPU from who polls is never the same."""
    for kind in FILESYSTEMS:
        with filesystem(kind, device) as path:
            for way in ways(path, (1, 4, 16)):
                yield Point(
                    {"filesystem": kind} | way,
                    overwrites(path, way["depth"], way["polled"]),
                    exact=not is_drive and not (way["cached"] and way["polled"]),
                    window=0.5 if is_drive else 0.05,
                )


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {report.way(labels)}"


def figures(point: dict) -> list[str]:
    values = point["values"]
    return [report.cost(point), f"{values['switches']:.2f}", f"{values['work']:.2f}"]


def table(points: list[dict]) -> str:
    return report.rows(points, row, COLUMNS, figures)
