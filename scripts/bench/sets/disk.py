# SPDX-License-Identifier: GPL-2.0
"""Our null disk and those of the kernel, by the same attributes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import report
from meter import lab
from points import Point, job

Disk = Callable[..., contextlib.AbstractContextManager[Path]]

MODES: dict[str, dict[str, object]] = {
    "irqmode=0": {"irqmode": 0},
    "irqmode=1": {"irqmode": 1},
    "irqmode=2": {"irqmode": 2, "completion_nsec": 10000},
    "polled": {"irqmode": 0, "poll_queues": 1},
    "memory_backed": {"irqmode": 0, "memory_backed": 1},
}
# What the kernel's drivers are called in configfs
NULL_BLK, RNULL = "nullb", "rnull"
# rnull has no more than that.
RNULL_MODES = ("irqmode=0", "irqmode=1")


@contextlib.contextmanager
def kernels_own(subsystem: str, **attributes: object) -> Iterator[Path]:
    """A disk of one of the kernel's drivers."""
    directory = Path("/sys/kernel/config") / subsystem / "bench"
    directory.mkdir()
    try:
        for name, value in attributes.items():
            lab.write(directory / name, value)
        lab.write(directory / "power", 1)
        yield Path("/dev/bench")
    finally:
        lab.write(directory / "power", 0)
        directory.rmdir()


def drivers(mode: str, has_rnull: bool) -> Iterator[tuple[str, Disk]]:
    """Who has that mode, and how a disk is made."""
    yield "null_blk", functools.partial(kernels_own, NULL_BLK)
    if has_rnull and mode in RNULL_MODES:
        yield "rnull", functools.partial(kernels_own, RNULL)
    yield "rnull_dio", lab.null_disk


def points() -> Iterator[Point]:
    lab.run("modprobe", "null_blk", "nr_devices=0")
    # Not all kernels have it.
    has_rnull = lab.run("modprobe", "rnull_mod", check=False).returncode == 0
    for mode, attributes in MODES.items():
        for driver, make in drivers(mode, has_rnull):
            with make(size=512, blocksize=512, **attributes) as device:
                for rw in ("randread", "randwrite"):
                    options = {"ioengine": "io_uring", "hipri": int(mode == "polled")}
                    yield Point(
                        {"mode": mode, "rw": rw, "driver": driver}, job(device, rw, **options)
                    )
    lab.run("rmmod", "null_blk", *["rnull_mod"] * has_rnull)


def row(labels: dict[str, object]) -> str:
    return f"{labels['mode']} {labels['rw']}"


def column(labels: dict[str, object]) -> str:
    return labels["driver"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, report.cost)


TABLES = {"": table}
