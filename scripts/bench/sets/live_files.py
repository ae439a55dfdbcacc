# SPDX-License-Identifier: GPL-2.0
"""First writes to many files of an attached file system at a time, and overwrites of them, beside
the kernel's own code: I/Os a second, and for each, context switches, work items and transactions.
A task for each file, io_uring, on a disk that takes 10 µs."""

from collections.abc import Iterator
from pathlib import Path

import report
from meter import FILLING, Command
from points import Point, engine, timer_disk

from guest import filesystems, fio

FILES = 64
DEPTH = 16
# More than is written to a file while a point is measured
FRESH = 6 << 20
WRITTEN = 1 << 20
# Long enough that each task has its turn, in s
WINDOW = 0.2


def lay_out_files(mount: Path) -> None:
    for number in range(FILES):
        fio.lay_out(mount / f"data{number}", WRITTEN)


def command(mount: Path, is_first: bool) -> Command:
    """Returns jobs that write to all files from begin to end. For first writes, they make the files
    anew, with blocks that have been allocated and not written to."""
    options = {
        "directory": mount,
        "filename_format": "data$jobnum",
        "numjobs": FILES,
        "group_reporting": 1,
        "direct": 1,
        "thread": 1,
        "rw": "write",
        "bs": "4k",
        "ioengine": "io_uring",
        "iodepth": DEPTH,
        "time_based": 1,
        "runtime": "1h",
        "gtod_reduce": 1,
    }
    blocks = (
        {"size": FRESH, "fallocate": "posix", "unlink": 1}
        if is_first
        else {"size": WRITTEN, "fallocate": "none"}
    )
    return Command("fio", "--name=job", "--output-format=json", *fio.words(options | blocks))


def points() -> Iterator[Point]:
    for kind in ("xfs", "ext4"):
        with (
            timer_disk(size=1000) as device,
            filesystems.mainline(kind, device) as mount,
        ):
            for is_first in (True, False):
                if not is_first:
                    lay_out_files(mount)
                for name in ("kernel", "attached"):
                    with engine(name, mount):
                        yield Point(
                            {
                                "filesystem": kind,
                                "engine": name,
                                "class": "first writes" if is_first else "overwrites",
                            },
                            command(mount, is_first),
                            exact=False,
                            window=WINDOW,
                            counted_by=FILLING,
                        )


def cell(point: dict) -> str:
    return report.iops_and(point, "switches", "work", "transactions")


def row(labels: dict[str, object]) -> str:
    return f"{labels['filesystem']} {labels['class']}"


def column(labels: dict[str, object]) -> str:
    return labels["engine"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


TABLES = {"": table}
