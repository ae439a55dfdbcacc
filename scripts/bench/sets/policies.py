# SPDX-License-Identifier: GPL-2.0
"""The tables of 2023: overwrites under each completion policy, on a disk that takes 10 µs."""

from collections.abc import Iterator

import report
from points import Point, filesystem, overwrites, timer_disk, variants

POLICIES = ("workqueue", "defer", "inline", "auto")


def points() -> Iterator[Point]:
    """Work items get the CPU at another time in each run, so that their policies are not exact."""
    with timer_disk() as device:
        for policy in POLICIES:
            with filesystem("diofs", device, "-o", f"completion={policy}") as path:
                for variant in variants(path, (1, 2, 4, 8, 16)):
                    yield Point(
                        {"policy": policy} | variant,
                        overwrites(path, variant["depth"], variant["polled"]),
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
