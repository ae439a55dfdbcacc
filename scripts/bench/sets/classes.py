# SPDX-License-Identifier: GPL-2.0
"""Classes of completions: io_uring, on a null disk that takes 10 µs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import report
from meter import COMPLETION, Command
from points import AREA, FILESYSTEMS, Point, filesystem, job, set_cache, timer_disk

from guest import devices, filesystems

DEPTHS = (1, 32)


@dataclass
class Class:
    """The I/O of a class, and the disk that it needs."""

    name: str
    rw: str = "randwrite"
    options: dict[str, object] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    is_cached: bool = False
    fails: bool = False
    # How many writes share a flush varies, and so does how many errors are logged.
    is_exact: bool = True

    def command(self, path: Path, depth: int) -> Command:
        return job(path, self.rw, ioengine="io_uring", iodepth=depth, **self.options)


DURABLE = {"sync": "dsync"}
CLASSES = (
    Class("read", rw="randread"),
    Class("overwrite"),
    Class("cached overwrite", is_cached=True),
    Class("O_DSYNC, FUA", options=DURABLE, attributes={"write_cache": 1, "fua": 1}),
    Class(
        "O_DSYNC, no FUA",
        options=DURABLE,
        attributes={"write_cache": 1, "fua": 0},
        is_exact=False,
    ),
    Class("error", options={"continue_on_error": "all"}, fails=True, is_exact=False),
)


@contextlib.contextmanager
def failing(device: Path, kind: str, path: Path) -> Iterator[None]:
    """Makes the area that jobs access fail."""
    start = filesystems.DATA_START if kind == "diofs" else filesystems.data_start(path)
    devices.set_bad(device, start, AREA)
    yield
    devices.set_good(device, start, AREA)


def points() -> Iterator[Point]:
    for each in CLASSES:
        for kind in FILESYSTEMS:
            with (
                timer_disk(**each.attributes) as device,
                filesystem(kind, device) as path,
                failing(device, kind, path) if each.fails else contextlib.nullcontext(),
            ):
                set_cache(path, each.is_cached)
                for depth in DEPTHS:
                    yield Point(
                        {"class": each.name, "depth": depth, "filesystem": kind},
                        each.command(path, depth),
                        exact=each.is_exact,
                        counted_by=COMPLETION,
                    )


def cell(point: dict) -> str:
    return report.iops_and(point, "work", "flushes")


def row(labels: dict[str, object]) -> str:
    return f"{labels['class']} QD{labels['depth']}"


def column(labels: dict[str, object]) -> str:
    return labels["filesystem"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
