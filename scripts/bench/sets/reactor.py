# SPDX-License-Identifier: GPL-2.0
"""Latency of overwrites for a thread that polls, computes and never sleeps, on a disk that takes
10 µs."""

from collections.abc import Iterator

import report
from meter import Command
from points import AREA, FILESYSTEMS, Point, filesystem, timer_disk, variants

# Between two polls, in ns
COMPUTE = 5000
DEPTH = 4


def points() -> Iterator[Point]:
    with timer_disk() as device:
        for kind in FILESYSTEMS:
            with filesystem(kind, device) as path:
                for variant in variants(path, [DEPTH]):
                    options = ["--poll"] if variant["polled"] else []
                    options += [f"--size={AREA}", f"--compute={COMPUTE}", f"--depth={DEPTH}"]
                    yield Point(
                        {"filesystem": kind} | variant,
                        Command("reactor", *options, str(path)),
                        exact=False,
                    )


def cell(point: dict) -> str:
    times = point["told"]
    mean = report.marked(point, f"{times['mean'] / 1000:.1f}", "mean")
    return f"{mean} ({times['max'] / 1000:.0f})"


row = report.way


def column(labels: dict[str, object]) -> str:
    return labels["filesystem"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
