# SPDX-License-Identifier: GPL-2.0
"""Points of sets, and devices and files for them."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meter import SUBMISSION, Command, fio

from guest import devices, files, filesystems, live
from guest.fio import lay_out

SIZE = 16 << 20
# The part of a file that jobs access, and where pages are cached behind it
AREA = 8 << 20
CACHED_AT = 12 << 20

FILESYSTEMS = ("xfs", "ext4", "diofs")


@dataclass
class Point:
    """A job, and the labels that distinguish it from others of its set."""

    labels: dict[str, object]
    command: Command
    # Whether every run gives the same figures
    exact: bool = True
    # How long it is measured, in s
    window: float = 0.05
    # The function that is called once for each I/O
    counted_by: str = SUBMISSION
    # Bytes of an I/O, where I/Os are counted by what was transferred
    block: int = 4096


def job(path: Path, rw: str, **options: object) -> Command:
    """Returns a job of fio with options that keep fio's own work small."""
    quick = {"rw": rw, "size": AREA, "norandommap": 1, "gtod_reduce": 1}
    return fio(path, **(quick | options))


def overwrites(path: Path, depth: int, polled: bool, **options: object) -> Command:
    """Returns a job that overwrites blocks at random by io_uring."""
    ring = {"ioengine": "io_uring", "iodepth": depth, "hipri": int(polled)}
    return job(path, "randwrite", **(ring | options))


@contextlib.contextmanager
def filesystem(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """Makes and mounts a file system; gives a file on it that has been written."""
    with filesystems.filesystem(kind, device, *options) as path:
        lay_out(path, SIZE)
        yield path


@contextlib.contextmanager
def engine(name: str, mount: Path, other: Path | None = None) -> Iterator[None]:
    """Has the engine of that name do direct I/O on MOUNT: the "kernel"'s own; the same, while OTHER
    is attached ("elsewhere"); or the module's ("attached")."""
    if name == "kernel":
        yield
    else:
        with live.attached(mount if name == "attached" else other):
            yield


def set_cache(path: Path, wanted: bool) -> None:
    """Leaves pages in the page cache behind AREA if WANTED, and none otherwise."""
    files.set_cache(path, CACHED_AT if wanted else None)


def variants(path: Path, depths: Iterable[int]) -> Iterator[dict[str, object]]:
    """Gives labels: polled and not, with cached pages and without; sets the page cache for each."""
    for cached in (False, True):
        set_cache(path, cached)
        for polled in (False, True):
            for depth in depths:
                yield {"polled": polled, "cached": cached, "depth": depth}


@contextlib.contextmanager
def timer_disk(**attributes: object) -> Iterator[Path]:
    """Makes a null disk that takes 10 µs. It has 512 MiB because XFS needs 300."""
    wanted = {
        "memory_backed": 1,
        "size": 512,
        "irqmode": 2,
        "completion_nsec": 10000,
        "poll_queues": 1,
    }
    with devices.null_disk(**(wanted | attributes)) as device:
        yield device
