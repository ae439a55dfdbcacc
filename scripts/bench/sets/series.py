# SPDX-License-Identifier: GPL-2.0
"""Overwrites by io_uring, with cached pages and without, polled and not."""

from collections.abc import Iterator
from pathlib import Path

import report
from points import FILESYSTEMS, Point, filesystem, overwrites, variants

COLUMNS = ["instructions", "switches", "work items"]


def points(device: Path, is_drive: bool) -> Iterator[Point]:
    """A work item takes the CPU from the poller at another time in each run."""
    for kind in FILESYSTEMS:
        with filesystem(kind, device) as path:
            for variant in variants(path, (1, 4, 16)):
                yield Point(
                    {"filesystem": kind} | variant,
                    overwrites(path, variant["depth"], variant["polled"]),
                    exact=not is_drive and not (variant["cached"] and variant["polled"]),
                    window=0.5 if is_drive else 0.05,
                )


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {report.way(labels)}"


def figures(point: dict) -> list[str]:
    values = point["values"]
    return [report.cost(point), f"{values['switches']:.2f}", f"{values['work']:.2f}"]


def table(points: list[dict]) -> str:
    return report.rows(points, row, COLUMNS, figures)
