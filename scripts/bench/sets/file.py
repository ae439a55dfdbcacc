# SPDX-License-Identifier: GPL-2.0
"""Cost of a disk whose data is in a file on XFS, beside the kernel's loop device, with and without
direct I/O. XFS is on a null disk that keeps its data in memory and completes I/O at once."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import report
from meter import FILLING
from points import SIZE, Point, job, set_cache

from guest import devices, filesystems, system
from guest.fio import lay_out

DEPTHS = (1, 16)


@contextlib.contextmanager
def loop(path: Path, direct: bool) -> Iterator[Path]:
    """Makes a loop device."""
    words = ["--find", "--show", f"--direct-io={'on' if direct else 'off'}", "--sector-size=4096"]
    device = system.run("losetup", *words, path).stdout.strip()
    try:
        yield Path(device)
    finally:
        system.run("losetup", "--detach", device)


DISKS = {
    "loop, buffered": lambda path: loop(path, direct=False),
    "loop, direct": lambda path: loop(path, direct=True),
    "rnull_dio, buffered": lambda path: devices.null_disk(
        "filedisk", backing_file=path, direct_io=0
    ),
    "rnull_dio, direct": lambda path: devices.null_disk("filedisk", backing_file=path),
}


def points() -> Iterator[Point]:
    system.run("modprobe", "loop")
    with (
        devices.null_disk(memory_backed=1, size=512) as device,
        filesystems.mainline("xfs", device) as mount,
    ):
        path = mount / "image"
        lay_out(path, SIZE)
        for name, make in DISKS.items():
            set_cache(path, wanted=False)
            with make(path) as disk:
                for rw in ("randread", "randwrite"):
                    for depth in DEPTHS:
                        labels = {"rw": rw, "depth": depth, "disk": name}
                        command = job(disk, rw, ioengine="io_uring", iodepth=depth)
                        # The file's bios are not counted, which have memory of the kernel.
                        yield Point(labels, command, exact=False, counted_by=FILLING)


def row(labels: dict[str, object]) -> str:
    return f"{labels['rw']} QD{labels['depth']}"


def column(labels: dict[str, object]) -> str:
    return labels["disk"]


def cost(point: dict) -> str:
    return f"{report.cost(point)} ({point['values']['switches']:.2f})"


def table(points: list[dict]) -> str:
    """Instructions an I/O, and in parentheses context switches."""
    return report.grid(points, row, column, cost)


TABLES = {"": table}
