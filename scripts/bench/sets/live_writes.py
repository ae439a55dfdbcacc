# SPDX-License-Identifier: GPL-2.0
"""Writes of an attached file system that need more than their data, beside the kernel's own code:
I/Os a second, and for each, work items, transactions and flushes. io_uring, on a disk that takes
10 µs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import report
from meter import FILLING, Command, fio
from points import SIZE, Point, engine, job, timer_disk

from guest import filesystems
from guest.fio import lay_out

# More than is written while a point is measured
FRESH = 96 << 20
DEPTH = 16


@dataclass
class Class:
    """The I/O of a class, and the disk that it needs."""

    name: str
    rw: str
    options: dict[str, object] = field(default_factory=dict)
    # Whether a file is made anew for each sample, so that no block is written to twice
    is_fresh: bool = True
    attributes: dict[str, object] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("xfs", "ext4")

    def command(self, mount: Path) -> Command:
        ring = {"ioengine": "io_uring", "iodepth": DEPTH}
        if not self.is_fresh:
            return job(mount / "data", self.rw, **(ring | self.options))
        fresh = {
            "rw": self.rw,
            "size": FRESH,
            "unlink": 1,
            "allow_file_create": 1,
            "gtod_reduce": 1,
        }
        return fio(mount / "fresh", **(fresh | ring | self.options))


DURABLE = {"sync": "dsync", "iodepth": 32}
CLASSES = (
    Class("O_DSYNC, no FUA", "randwrite", DURABLE, is_fresh=False, attributes={"write_cache": 1}),
    Class("overwrite", "randwrite", is_fresh=False),
    Class("fallocated, random", "randwrite", {"fallocate": "posix"}),
    Class("fallocated, sequential", "write", {"fallocate": "posix"}),
    # A write behind the end of the file excludes others on ext4.
    Class("growth", "write", {"fallocate": "none"}, kinds=("xfs",)),
)


def points() -> Iterator[Point]:
    for each in CLASSES:
        for kind in each.kinds:
            with (
                timer_disk(**each.attributes) as device,
                filesystems.mainline(kind, device) as mount,
            ):
                lay_out(mount / "data", SIZE)
                for name in ("kernel", "attached"):
                    with engine(name, mount):
                        yield Point(
                            {"filesystem": kind, "engine": name, "class": each.name},
                            each.command(mount),
                            exact=False,
                            counted_by=FILLING,
                        )


def cell(point: dict) -> str:
    return report.iops_and(point, "work", "transactions", "flushes")


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {labels['class']}"


def column(labels: dict[str, object]) -> str:
    return labels["engine"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
