# SPDX-License-Identifier: GPL-2.0
"""The tables of 2023: who completes overwrites, on a disk that takes 10 µs."""

from collections.abc import Iterator

import report
from points import Point, filesystem, overwrites, set_cache, timer_disk

POLICIES = ("workqueue", "defer", "inline", "auto")


def points() -> Iterator[Point]:
    """When work items get the CPU is never the same."""
    with timer_disk() as device:
        for policy in POLICIES:
            with filesystem("diofs", device, "-o", f"completion={policy}") as path:
                for cached in (False, True):
                    set_cache(path, cached)
                    for polled in (False, True):
                        for depth in (1, 2, 4, 8, 16):
                            yield Point(
                                {
                                    "policy": policy,
                                    "polled": polled,
                                    "cached": cached,
                                    "depth": depth,
                                },
                                overwrites(path, depth, polled),
                                exact=policy in ("defer", "auto"),
                            )


def cell(point: dict) -> str:
    values = point["values"]
    return f"{report.iops(point)} ({values['switches']:.1f}, {values['work']:.1f})"


def table(points: list[dict]) -> str:
    return report.grid(points, report.way, lambda of: of["policy"], cell)


TABLES = {"": table}
