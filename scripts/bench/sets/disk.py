# SPDX-License-Identifier: GPL-2.0
"""Our null disk and null_blk, by the same attributes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import report
from meter import lab
from points import Point, job

MODES: dict[str, dict[str, object]] = {
    "irqmode=0": {"irqmode": 0},
    "irqmode=1": {"irqmode": 1},
    "irqmode=2": {"irqmode": 2, "completion_nsec": 10000},
    "polled": {"irqmode": 0, "poll_queues": 1},
    "memory_backed": {"irqmode": 0, "memory_backed": 1},
}
NULL_BLK = Path("/sys/kernel/config/nullb")


@contextlib.contextmanager
def null_blk(**attributes: object) -> Iterator[Path]:
    """A disk of the kernel's own null_blk."""
    directory = NULL_BLK / "bench"
    directory.mkdir()
    try:
        for name, value in attributes.items():
            lab.write(directory / name, value)
        lab.write(directory / "power", 1)
        yield Path("/dev/bench")
    finally:
        lab.write(directory / "power", 0)
        directory.rmdir()


def points() -> Iterator[Point]:
    lab.run("modprobe", "null_blk", "nr_devices=0")
    for mode, attributes in MODES.items():
        for driver, make in (("null_blk", null_blk), ("rnull_dio", lab.null_disk)):
            with make(size=512, blocksize=512, **attributes) as device:
                for rw in ("randread", "randwrite"):
                    options = {"ioengine": "io_uring", "hipri": int(mode == "polled")}
                    yield Point(
                        {"mode": mode, "rw": rw, "driver": driver}, job(device, rw, **options)
                    )
    lab.run("rmmod", "null_blk")


def table(points: list[dict]) -> str:
    return report.grid(
        points, lambda of: f"{of['mode']} {of['rw']}", lambda of: of["driver"], report.cost
    )
