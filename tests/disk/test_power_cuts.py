# SPDX-License-Identifier: GPL-2.0
"""Power cuts of a null disk with a volatile cache, in the middle of durable writes to diofs and to
attached XFS and ext4: what was acknowledged is there."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, durable, files, filesystems, kernel, live, system
from guest.durable import Generations, Writer
from guest.issuers import ALL_ISSUERS, ISSUERS

# How often power is cut; "make powercut" sets a higher number.
CUTS = int(os.environ.get("CUTS", kernel.fewer(4, least=2)))
# How many writes are acknowledged before, at least
WRITES = kernel.fewer(500)
# How much longer it may be until then, in s
LONGEST = 0.5

# Small enough that the cache is full at times
DISK = {
    "memory_backed": 1,
    "blocksize": 512,
    "irqmode": 2,
    "submit_queues": 2,
    "poll_queues": 1,
    "cache_size": 2,
}


@contextlib.contextmanager
def new_writers(kind: str, device: Path) -> Iterator[list[Writer]]:
    """Makes and mounts a file system, and files for writers."""
    if kind == "diofs":
        # What was never written shows what the device has.
        system.run("blkdiscard", "--force", "--zeroout", device)
        with filesystems.diofs(device) as data:
            yield durable.of_a_diofs(data, *ALL_ISSUERS)
    else:
        durable.fill_with_stale_data(device)
        with filesystems.mainline(kind, device) as mount, live.attached(mount):
            yield durable.of_every_kind(mount, *ISSUERS)


def cut_power(device: Path, writers: list[Writer]) -> Generations:
    """Cuts power at some time after WRITES. Returns what was acknowledged before."""
    with durable.writing(writers):
        system.wait_for(lambda: durable.writes(writers) > WRITES, 120)
        time.sleep(random.uniform(0, LONGEST))
        assert not any(writer.failed for writer in writers)
        before = durable.acknowledged(writers)
        files.write(devices.CONFIGFS / device.name / "power", 0)
        system.wait_for(lambda: all(writer.failed for writer in writers), 120)
    return before


def acknowledged(kind: str, before: Generations, writers: list[Writer]) -> Generations:
    """Returns what must be there. While its device dies, XFS acknowledges writes to new blocks, or
    behind the end of a file, that are not durable; it does so under the kernel's engine, too."""
    after = durable.acknowledged(writers)
    if kind != "xfs":
        return after
    return {name: (after if "overwrites" in name else before)[name] for name in after}


@pytest.mark.parametrize("kind", ["xfs", "ext4", "diofs"])
def test_power_is_cut(kind, null_disk):
    device = null_disk(size=filesystems.enough_for(kind), **DISK)
    total = 0
    for number in range(CUTS):
        with new_writers(kind, device) as writers:
            before = cut_power(device, writers)
        total += durable.writes(writers)
        files.write(devices.CONFIGFS / device.name / "fua", 1 - number % 2)
        files.write(devices.CONFIGFS / device.name / "power", 1)
        if kind == "diofs":
            durable.check_diofs(device, writers)
        else:
            oldest = acknowledged(kind, before, writers)
            durable.check(kind, device, oldest, durable.begun(writers))
    print(f"{CUTS} power cuts, every other one with FUA, {total} durable writes")
