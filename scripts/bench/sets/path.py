# SPDX-License-Identifier: GPL-2.0
"""What the path costs: 4k at queue depth 1, of every kind, on devices that complete at once."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import report
from meter import Command, lab
from points import AREA, FILESYSTEMS, SIZE, Point, filesystem, job, timer_disk

ISSUERS: dict[str, dict[str, object]] = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio"},
    "io_uring": {"ioengine": "io_uring"},
    "io_uring-fixed": {"ioengine": "io_uring", "fixedbufs": 1, "registerfiles": 1},
    "io_uring-polled": {"ioengine": "io_uring", "hipri": 1},
}


@contextlib.contextmanager
def ram_disk() -> Iterator[Path]:
    lab.run("modprobe", "brd", "rd_nr=1", f"rd_size={512 << 10}")
    try:
        yield Path("/dev/ram0")
    finally:
        lab.run("rmmod", "brd")


@contextlib.contextmanager
def raw(device: Path) -> Iterator[Path]:
    """A device that has been written, as files have: what has never been is read faster."""
    # File systems write to its end as well, so that a RAM disk has a higher tree of pages.
    with lab.opened(device) as fd:
        os.pwrite(fd, lab.aligned(lab.BLOCK), os.lseek(fd, -lab.BLOCK, os.SEEK_END))
    lab.lay_out(device, SIZE)
    yield device


def commands(path: Path, rw: str) -> Command:
    """uring_cmd of diofs, which fio does not know"""
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
    """Where the instructions of an overwrite by io_uring go."""
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
