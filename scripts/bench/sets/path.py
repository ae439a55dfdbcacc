# SPDX-License-Identifier: GPL-2.0
"""Cost of the path: 4k at queue depth 1 by every interface, on devices that complete at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import report
from meter import Command
from points import AREA, FILESYSTEMS, SIZE, Point, filesystem, job, timer_disk

from guest import files, system
from guest.filesystems import BLOCK
from guest.fio import lay_out
from guest.memory import aligned

ISSUERS: dict[str, dict[str, object]] = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring-fixed": {"ioengine": "io_uring", "fixedbufs": 1, "registerfiles": 1},
    "io_uring-polled": {"ioengine": "io_uring", "hipri": 1},
}


@contextlib.contextmanager
def ram_disk() -> Iterator[Path]:
    system.run("modprobe", "brd", "rd_nr=1", f"rd_size={512 << 10}")
    try:
        yield Path("/dev/ram0")
    finally:
        system.run("rmmod", "brd")


@contextlib.contextmanager
def raw(device: Path) -> Iterator[Path]:
    """Writes to a device what file systems write, because blocks without data are read faster."""
    # File systems also write to the end, which makes the RAM disk's tree of pages higher.
    with files.opened(device) as fd:
        os.pwrite(fd, aligned(BLOCK), os.lseek(fd, -BLOCK, os.SEEK_END))
    lay_out(device, SIZE)
    yield device


def commands(path: Path, rw: str) -> Command:
    """Returns a job that uses the commands of diofs, which fio does not have."""
    options = ["--read"] if rw == "randread" else []
    return Command("reactor", "--command", f"--size={AREA}", *options, str(path))


def on(device: Path, name: str) -> Iterator[Point]:
    for kind in ("raw", *FILESYSTEMS):
        with raw(device) if kind == "raw" else filesystem(kind, device) as path:
            for rw in ("randread", "randwrite"):
                labels = {"device": name, "rw": rw, "path": kind}
                for issuer, options in ISSUERS.items():
                    if name == "null" or issuer != "io_uring-polled":
                        yield Point(labels | {"issuer": issuer}, job(path, rw, **options))
                if kind == "diofs":
                    yield Point(labels | {"issuer": "uring_cmd"}, commands(path, rw))


def points() -> Iterator[Point]:
    with ram_disk() as device:
        yield from on(device, "brd")
    with timer_disk(irqmode=0) as device:
        yield from on(device, "null")


def row(labels: dict[str, object]) -> str:
    return f"{labels['device']} {labels['issuer']} {labels['rw']}"


def column(labels: dict[str, object]) -> str:
    return labels["path"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, report.cost)


def layers(points: list[dict]) -> str:
    """Returns a table of the instructions of an overwrite by io_uring, by layer."""
    chosen = [point for point in points if row(point["labels"]) == "brd io_uring randwrite"]
    names = sorted(
        {layer for point in chosen for layer in point["layers"]},
        key=lambda layer: -max(point["layers"].get(layer, 0) for point in chosen),
    )
    rows = [
        [layer, *(f"{point['layers'].get(layer, 0):.0f}" for point in chosen)]
        for layer in names
        if any(point["layers"].get(layer, 0) >= 1 for point in chosen)
    ]
    return report.table(["layer", *(column(point["labels"]) for point in chosen)], rows)


TABLES = {"": table, "-layers": layers}
