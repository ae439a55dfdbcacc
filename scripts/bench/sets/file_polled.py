# SPDX-License-Identifier: GPL-2.0
"""A disk in a file that is polled, beside the kernel's loop device, which cannot be. The file is
on a null disk that takes 10 µs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import report
from meter import FILLING
from points import SIZE, Point, job, timer_disk

from guest import devices, filesystems, system
from guest.fio import lay_out
from sets.file import loop

LOOP, POLLED = "loop", "rnull_dio, polled"
FILES = ("block device", "xfs", "ext4")


@contextlib.contextmanager
def file_on(device: Path, kind: str) -> Iterator[Path]:
    """Gives the device, or a file that has been written on a file system on it."""
    if kind == "block device":
        yield device
    else:
        with filesystems.mainline(kind, device) as mount:
            lay_out(mount / "image", SIZE)
            yield mount / "image"


@contextlib.contextmanager
def disk_in(path: Path, name: str) -> Iterator[Path]:
    """Makes a disk of SIZE in a file."""
    if name == LOOP:
        with loop(path, direct=True) as disk:
            yield disk
    else:
        with devices.null_disk(
            "filedisk", backing_file=path, size=SIZE >> 20, poll_queues=1
        ) as disk:
            yield disk


def points() -> Iterator[Point]:
    system.run("modprobe", "loop")
    with timer_disk() as device:
        for kind in FILES:
            with file_on(device, kind) as path:
                for name in (LOOP, POLLED):
                    with disk_in(path, name) as disk:
                        for rw in ("randread", "randwrite"):
                            labels = {"file": kind, "rw": rw, "disk": name}
                            ring = {"ioengine": "io_uring", "hipri": int(name == POLLED)}
                            command = job(disk, rw, **ring)
                            yield Point(labels, command, exact=False, counted_by=FILLING)


def row(labels: dict[str, object]) -> str:
    return f"{labels['file']} {labels['rw']}"


def column(labels: dict[str, object]) -> str:
    return labels["disk"]


def cell(point: dict) -> str:
    values = point["values"]
    return f"{report.iops(point)} ({values['switches']:.2f}, {values['work']:.2f})"


def table(points: list[dict]) -> str:
    """IOPS, and in parentheses context switches and work items per I/O."""
    return report.grid(points, row, column, cell)


TABLES = {"": table}
