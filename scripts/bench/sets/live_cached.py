# SPDX-License-Identifier: GPL-2.0
"""Overwrites of an attached file system beside the kernel's own code, with and without cached
pages, on a disk that takes 10 µs."""

from collections.abc import Iterator

import report
from points import SIZE, Point, engine, overwrites, timer_disk, variants

from guest import filesystems
from guest.fio import lay_out
from sets.policies import cell


def points() -> Iterator[Point]:
    """Work items get the CPU at another time in each run, so that points are not exact."""
    with timer_disk() as device:
        for kind in ("xfs", "ext4"):
            with filesystems.mainline(kind, device) as mount:
                path = mount / "data"
                lay_out(path, SIZE)
                for name in ("kernel", "attached"):
                    with engine(name, mount):
                        for variant in variants(path, (1, 16)):
                            yield Point(
                                {"filesystem": kind, "engine": name} | variant,
                                overwrites(path, variant["depth"], variant["polled"]),
                                exact=False,
                            )


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {report.way(labels)}"


def column(labels: dict[str, object]) -> str:
    return labels["engine"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
