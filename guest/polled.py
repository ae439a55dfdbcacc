# SPDX-License-Identifier: GPL-2.0
"""Disks in files that are polled, and jobs that poll."""

import collections
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from guest import counters, devices, fio
from guest.file_disks import SIZE, file_disk

MIB = 1 << 20
BLOCK = 4096

# The options of a job that polls
POLLED = {"ioengine": "io_uring", "hipri": 1}

# The attributes of a null disk that a file system can be on, and which can be polled. Its requests
# end when they are polled, and not before.
BELOW = {"memory_backed": 1, "size": 320, "blocksize": devices.SECTOR, "poll_queues": 1}


@contextlib.contextmanager
def polled_disk(path: Path, name: str = "filedisk", **attributes: object) -> Iterator[Path]:
    """Makes a disk of SIZE in a file, which is polled."""
    attributes = {"size": SIZE // MIB, "poll_queues": 1} | attributes
    with file_disk(path, name, **attributes) as disk:
        yield disk


def grown(disk: Path, function: Callable[[], object]) -> collections.Counter[str]:
    """Returns by how much the counters of the disk grow while a function runs."""
    before = counters.disk(disk)
    function()
    return collections.Counter(counters.grown(counters.disk(disk), before))


def run(disk: Path, **options: object) -> None:
    """Runs a job that polls, which must not fail."""
    assert fio.run(disk, **(POLLED | options))["error"] == 0


def endless(disk: Path | str, **options: object) -> list[str]:
    """Returns the command line of a job that polls until it is stopped."""
    return fio.command(disk, **(POLLED | {"time_based": 1, "runtime": 36000} | options))
