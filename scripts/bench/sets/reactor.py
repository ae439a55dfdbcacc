# SPDX-License-Identifier: GPL-2.0
"""A thread that polls and computes and never sleeps, on a disk that takes 10 µs: how long it takes
until it sees that overwrites are complete."""

from collections.abc import Iterator

import report
from meter import Command
from points import AREA, FILESYSTEMS, Point, filesystem, set_cache, timer_disk

# Between two looks, in ns
COMPUTE = 5000
DEPTH = 4


def points() -> Iterator[Point]:
    with timer_disk() as device:
        for kind in FILESYSTEMS:
            with filesystem(kind, device) as path:
                for cached in (False, True):
                    set_cache(path, cached)
                    for polled in (False, True):
                        options = ["--poll"] if polled else []
                        options += [f"--size={AREA}", f"--compute={COMPUTE}", f"--depth={DEPTH}"]
                        yield Point(
                            {
                                "filesystem": kind,
                                "polled": polled,
                                "cached": cached,
                                "depth": DEPTH,
                            },
                            Command("reactor", *options, str(path)),
                            exact=False,
                        )


def cell(point: dict) -> str:
    told = point["told"]
    return f"{told['mean'] / 1000:.1f} ({told['max'] / 1000:.0f})"


def table(points: list[dict]) -> str:
    return report.grid(points, report.way, lambda of: of["filesystem"], cell)


TABLES = {"": table}
