# SPDX-License-Identifier: GPL-2.0
"""The null disk of this module beside null_blk and rnull, with the same attributes."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import report
from points import Point, job

from guest import devices, system

Disk = Callable[..., contextlib.AbstractContextManager[Path]]

# Small, so that zones are reset and opened while writes are measured
ZONE_MIB = 4
MODES: dict[str, dict[str, object]] = {
    "irqmode=0": {"irqmode": 0},
    "irqmode=1": {"irqmode": 1},
    "irqmode=2": {"irqmode": 2, "completion_nsec": 10000},
    "polled": {"irqmode": 0, "poll_queues": 1},
    "blocking": {"blocking": 1},
    "memory_backed": {"irqmode": 0, "memory_backed": 1},
    "cache_size": {"memory_backed": 1, "cache_size": 16},
    "badblocks": {"badblocks": "+1000000-1000007"},
    "shared_tag_bitmap": {"shared_tag_bitmap": 1},
    "zoned": {"zoned": 1, "zone_size": ZONE_MIB},
    "zoned memory_backed": {"zoned": 1, "zone_size": ZONE_MIB, "memory_backed": 1},
    "zoned zone_max_open": {"zoned": 1, "zone_size": ZONE_MIB, "zone_max_open": 4},
}
# Names of the kernel's drivers in configfs
NULL_BLK, RNULL = "nullb", "rnull"
# rnull has no other modes.
RNULL_MODES = ("irqmode=0", "irqmode=1")


def drivers(mode: str, has_rnull: bool) -> Iterator[tuple[str, Disk]]:
    """Gives the drivers that have this mode, each with the function that makes a disk."""
    yield "null_blk", functools.partial(devices.mainline_disk, NULL_BLK)
    if has_rnull and mode in RNULL_MODES:
        yield "rnull", functools.partial(devices.mainline_disk, RNULL)
    yield "rnull_dio", devices.null_disk


def jobs(mode: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Gives the kinds of I/O that are measured in a mode, and their options."""
    options = {"ioengine": "io_uring", "hipri": int(mode == "polled")}
    yield "randread", options
    if mode.startswith("zoned"):
        yield "write", options | {"zonemode": "zbd"}
    else:
        yield "randwrite", options


def points() -> Iterator[Point]:
    system.run("modprobe", "null_blk", "nr_devices=0")
    # The stock kernel lacks rnull.
    has_rnull = system.run("modprobe", "rnull_mod", check=False).returncode == 0
    for mode, attributes in MODES.items():
        for driver, make in drivers(mode, has_rnull):
            with make(size=512, blocksize=512, **attributes) as device:
                for rw, options in jobs(mode):
                    yield Point(
                        {"mode": mode, "rw": rw, "driver": driver}, job(device, rw, **options)
                    )
    system.run("rmmod", "null_blk", *["rnull_mod"] * has_rnull)


def row(labels: dict[str, object]) -> str:
    return f"{labels['mode']} {labels['rw']}"


def column(labels: dict[str, object]) -> str:
    return labels["driver"]


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, report.cost)


TABLES = {"": table}
