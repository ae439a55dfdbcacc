# SPDX-License-Identifier: GPL-2.0
"""A null disk without a file system, under Linux AIO."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from guest import counters, devices
from tests.stress import load
from tests.stress.load import Target

JOBS = ("libaio", "io_uring")


class Raw(Target):
    def routes(self) -> dict[str, int]:
        """Returns how many requests the disk got, by their kind."""
        return counters.disk(self.device)


@contextlib.contextmanager
def made() -> Iterator[Raw]:
    """Makes a disk; gives it with its jobs."""
    # Slow, so that programs end before their requests
    settings = {"memory_backed": 1, "size": 16, "irqmode": 2, "completion_nsec": 5_000_000}
    with (
        devices.null_disk("rawdisk", **settings) as device,
        tempfile.TemporaryDirectory(dir="/run") as work,
    ):
        target = Raw("raw", device, device, Path(work))
        target.jobs |= {name: load.VERIFIED | load.DIRECT[name] for name in JOBS}
        yield target
