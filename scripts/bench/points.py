# SPDX-License-Identifier: GPL-2.0
"""What is measured: sets of points."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meter import lab

SIZE = 16 << 20
# What I/O goes to, and behind it what is kept in the page cache
AREA = 8 << 20
CACHED_AT = 12 << 20

FILESYSTEMS = ("xfs", "ext4", "diofs")


@dataclass
class Point:
    """A job, and what tells it from the others of its set."""

    labels: dict[str, object]
    options: dict[str, object]
    # Is it the same every time?
    exact: bool = True
    # how long it is looked at, in s
    window: float = 0.05


@contextlib.contextmanager
def filesystem(kind: str, device: Path, *options: str) -> Iterator[Path]:
    """A new file system, with a file that has been written; gives that."""
    with contextlib.ExitStack() as stack:
        if kind == "diofs":
            path = stack.enter_context(lab.mounted(device, *options))
        else:
            path = stack.enter_context(lab.other_filesystem(kind, device)) / "data"
        lab.lay_out(path, SIZE)
        yield path


def set_cache(path: Path, wanted: bool) -> None:
    """Has pages in the page cache behind what is written, or none at all."""
    with lab.opened(path, os.O_RDWR) as fd:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    if wanted:
        lab.read_into_cache(path, CACHED_AT)


def job(path: Path, rw: str, **options: object) -> dict[str, object]:
    """A job of fio's, with as little of fio as can be."""
    return {
        "filename": path,
        "rw": rw,
        "bs": "4k",
        "size": AREA,
        "direct": 1,
        "thread": 1,
        "allow_file_create": 0,
        "norandommap": 1,
        "gtod_reduce": 1,
    } | options


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


# The series for mainline


def overwrites(device: Path, name: str) -> Iterator[Point]:
    """io_uring, overwrites: with pages in the cache and without, polled and not.

    When a work item gets the CPU from who polls is never the same. Nor is what a drive does.
    """
    for kind in FILESYSTEMS:
        with filesystem(kind, device) as path:
            for cached in (False, True):
                set_cache(path, cached)
                for polled in (False, True):
                    for depth in (1, 4, 16):
                        yield Point(
                            {
                                "device": name,
                                "filesystem": kind,
                                "cached": cached,
                                "polled": polled,
                                "depth": depth,
                            },
                            job(
                                path,
                                "randwrite",
                                ioengine="io_uring",
                                iodepth=depth,
                                hipri=int(polled),
                            ),
                            exact=name == "null" and not (cached and polled),
                            window=0.05 if name == "null" else 0.5,
                        )


def series_null() -> Iterator[Point]:
    with timer_disk() as device:
        yield from overwrites(device, "null")


def series_nvme() -> Iterator[Point]:
    yield from overwrites(lab.drive("bench"), "nvme")


# What the path costs


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
    lab.lay_out(device, SIZE)
    yield device


def paths(name: str, device: Path) -> Iterator[Point]:
    """4k at queue depth 1, of every kind, on a device that completes at once."""
    for kind in ("raw", *FILESYSTEMS):
        with raw(device) if kind == "raw" else filesystem(kind, device) as path:
            for issuer, options in ISSUERS.items():
                if name == "brd" and issuer == "io_uring-polled":
                    continue
                for rw in ("randread", "randwrite"):
                    labels = {"device": name, "path": kind, "issuer": issuer, "rw": rw}
                    yield Point(labels, job(path, rw, **options))


def path() -> Iterator[Point]:
    with ram_disk() as device:
        yield from paths("brd", device)
    with timer_disk(irqmode=0) as device:
        yield from paths("null", device)


# The points that every test run takes


def key() -> Iterator[Point]:
    """The disk alone, and the file system in the ways that are used most."""
    with timer_disk(irqmode=0) as device:
        yield Point(
            {"job": "null disk, io_uring, randread"}, job(device, "randread", ioengine="io_uring")
        )
        with filesystem("diofs", device) as path:
            for issuer in ("libaio", "io_uring", "io_uring-polled"):
                for rw in ("randread", "randwrite"):
                    if (issuer, rw) != ("io_uring-polled", "randread"):
                        name = f"diofs, {issuer}, {rw}"
                        yield Point({"job": name}, job(path, rw, **ISSUERS[issuer]))


# The tables of 2023


def policies() -> Iterator[Point]:
    """Who completes writes, on a disk that takes 10 µs."""
    with timer_disk() as device:
        for policy in ("workqueue", "defer", "inline", "auto"):
            with filesystem("diofs", device, "-o", f"completion={policy}") as path:
                for cached in (False, True):
                    set_cache(path, cached)
                    for polled in (False, True):
                        for depth in (1, 2, 4, 8, 16):
                            yield Point(
                                {
                                    "policy": policy,
                                    "cached": cached,
                                    "polled": polled,
                                    "depth": depth,
                                },
                                job(
                                    path,
                                    "randwrite",
                                    ioengine="io_uring",
                                    iodepth=depth,
                                    hipri=int(polled),
                                ),
                                exact=not (polled and policy in ("workqueue", "inline")),
                            )


# The disk


DISK_MODES: dict[str, dict[str, object]] = {
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


def disk() -> Iterator[Point]:
    """Our null disk and null_blk, by the same attributes."""
    lab.run("modprobe", "null_blk", "nr_devices=0")
    for mode, attributes in DISK_MODES.items():
        for driver, make in (("null_blk", null_blk), ("rnull_dio", lab.null_disk)):
            with make(size=512, blocksize=512, **attributes) as device:
                for rw in ("randread", "randwrite"):
                    options = {"ioengine": "io_uring", "hipri": int(mode == "polled")}
                    yield Point(
                        {"mode": mode, "driver": driver, "rw": rw}, job(device, rw, **options)
                    )
    lab.run("rmmod", "null_blk")


SETS: dict[str, Callable[[], Iterator[Point]]] = {
    "path": path,
    "key": key,
    "policies": policies,
    "disk": disk,
    "series-null": series_null,
    "series-nvme": series_nvme,
}
