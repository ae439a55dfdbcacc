# SPDX-License-Identifier: GPL-2.0
"""The tables of 2023: who completes overwrites, on a disk that takes 10 µs."""

from collections.abc import Iterator

import report
from points import Point, filesystem, overwrites, timer_disk, ways

POLICIES = ("workqueue", "defer", "inline", "auto")


def points() -> Iterator[Point]:
    """When work items get the CPU is never the same."""
    with timer_disk() as device:
        for policy in POLICIES:
            with filesystem("diofs", device, "-o", f"completion={policy}") as path:
                for way in ways(path, (1, 2, 4, 8, 16)):
                    yield Point(
                        {"policy": policy} | way,
                        overwrites(path, way["depth"], way["polled"]),
                        exact=policy in ("defer", "auto"),
                    )


def cell(point: dict) -> str:
    values = point["values"]
    return f"{report.iops(point)} ({values['switches']:.1f}, {values['work']:.1f})"


row = report.way


def column(labels: dict[str, object]) -> str:
    return labels["policy"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
