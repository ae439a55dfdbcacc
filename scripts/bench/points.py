# SPDX-License-Identifier: GPL-2.0
"""What sets are made of: points, and devices and files for them."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meter import SUBMISSION, Command, fio, lab

SIZE = 16 << 20
# What I/O goes to, and behind it what is kept in the page cache
AREA = 8 << 20
CACHED_AT = 12 << 20

FILESYSTEMS = ("xfs", "ext4", "diofs")


@dataclass
class Point:
    """A job, and what tells it from the others of its set."""

    labels: dict[str, object]
    command: Command
    # Is it the same every time?
    exact: bool = True
    # how long it is looked at, in s
    window: float = 0.05
    # the function that is called once for each I/O
    counted_by: str = SUBMISSION


def job(path: Path, rw: str, **options: object) -> Command:
    """A job of fio's, with as little of fio as can be."""
    quick = {"rw": rw, "size": AREA, "norandommap": 1, "gtod_reduce": 1}
    return fio(path, **(quick | options))


def overwrites(path: Path, depth: int, polled: bool, **options: object) -> Command:
    """io_uring, at random."""
    ring = {"ioengine": "io_uring", "iodepth": depth, "hipri": int(polled)}
    return job(path, "randwrite", **(ring | options))


@contextlib.contextmanager
def filesystem(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """A new file system, with a file that has been written; gives that."""
    with lab.filesystem(kind, device, *options) as path:
        lab.lay_out(path, SIZE)
        yield path


def set_cache(path: Path, wanted: bool) -> None:
    """Has pages in the page cache behind what is written, or none at all."""
    lab.set_cache(path, CACHED_AT if wanted else None)


def ways(path: Path, depths: Iterable[int]) -> Iterator[dict[str, object]]:
    """Polled or not, with pages in the page cache, which it sees to, or without: as labels."""
    for cached in (False, True):
        set_cache(path, cached)
        for polled in (False, True):
            for depth in depths:
                yield {"polled": polled, "cached": cached, "depth": depth}


@contextlib.contextmanager
def timer_disk(**attributes: object) -> Iterator[Path]:
    """A null disk of ours that takes 10 µs, in memory, 512 MiB: XFS wants 300."""
    wanted = {
        "memory_backed": 1,
        "size": 512,
        "irqmode": 2,
        "completion_nsec": 10000,
        "poll_queues": 1,
    }
    with lab.null_disk(**(wanted | attributes)) as device:
        yield device
