# SPDX-License-Identifier: GPL-2.0
"""Classes of completions: io_uring, on a null disk that takes 10 µs."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import report
from meter import COMPLETION, Command, lab
from points import AREA, FILESYSTEMS, Point, filesystem, job, set_cache, timer_disk

DEPTHS = (1, 32)


@dataclass
class Class:
    """What is done, and to what kind of disk."""

    name: str
    rw: str = "randwrite"
    options: dict[str, object] = field(default_factory=dict)
    attributes: dict[str, object] = field(default_factory=dict)
    is_cached: bool = False
    fails: bool = False
    # Flushes are shared by those who happen to wait at a time, errors are logged now and then.
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


def first_sector(kind: str, path: Path) -> int:
    """Where a file of that kind of file system begins on its device; it is in one piece."""
    if kind == "diofs":
        return lab.DATA_START // 512
    table = lab.run("filefrag", "-b512", "-v", path).stdout
    return int(re.search(r"^\s+0:\s+0\.\.\s*\d+:\s+(\d+)\.\.", table, re.MULTILINE)[1])


@contextlib.contextmanager
def failing(device: Path, kind: str, path: Path) -> Iterator[None]:
    """What I/O goes to is made of bad blocks."""
    first = first_sector(kind, path)
    area = f"{first}-{first + AREA // 512 - 1}"
    badblocks = lab.CONFIGFS / device.name / "badblocks"
    lab.write(badblocks, f"+{area}")
    yield
    lab.write(badblocks, f"-{area}")


def points() -> Iterator[Point]:
    for what in CLASSES:
        for kind in FILESYSTEMS:
            with (
                timer_disk(**what.attributes) as device,
                filesystem(kind, device) as path,
                failing(device, kind, path) if what.fails else contextlib.nullcontext(),
            ):
                set_cache(path, what.is_cached)
                for depth in DEPTHS:
                    yield Point(
                        {"class": what.name, "depth": depth, "filesystem": kind},
                        what.command(path, depth),
                        exact=what.is_exact,
                        counted_by=COMPLETION,
                    )


def cell(point: dict) -> str:
    values = point["values"]
    return f"{report.iops(point)} ({values['work']:.2f}, {values['flushes']:.2f})"


def row(labels: dict[str, object]) -> str:
    return f"{labels['class']} QD{labels['depth']}"


def column(labels: dict[str, object]) -> str:
    return labels["filesystem"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
