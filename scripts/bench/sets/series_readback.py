# SPDX-License-Identifier: GPL-2.0
"""Effect of patches/ where pages that are being written are read back into the page cache: io_uring
overwrites of 64 KiB on a null disk that takes 10 µs, beside a buffered reader."""

from collections.abc import Iterator
from pathlib import Path

import report
from meter import COMPLETION, Command
from points import Point, filesystem, job, timer_disk

AREA = 64 << 10
COLUMNS = ["IOPS", "switches", "work items", "left to issuers"]


def writer_and_reader(path: Path, depth: int) -> Command:
    writer = job(path, "randwrite", ioengine="io_uring", iodepth=depth, size=AREA)
    reader = job(path, "read", ioengine="psync", direct=0, size=AREA)
    # Both are jobs of one fio process.
    return Command(*writer, *reader[1:])


def points() -> Iterator[Point]:
    """Reader and writer take turns in another order in each run, so that no point is exact."""
    with timer_disk() as device:
        for kind in ("xfs", "ext4"):
            with filesystem(kind, device) as path:
                for depth in (1, 4, 16):
                    yield Point(
                        {"filesystem": kind, "depth": depth},
                        writer_and_reader(path, depth),
                        exact=False,
                        window=0.5,
                        counted_by=COMPLETION,
                    )


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} QD{labels['depth']}"


def figures(point: dict) -> list[str]:
    values = point["values"]
    rest = [f"{values[name]:.2f}" for name in ("switches", "work", "deferred")]
    return [report.iops(point), *rest]


def table(points: list[dict]) -> str:
    return report.rows(points, row, COLUMNS, figures)


TABLES = {"": table}
