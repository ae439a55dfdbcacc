# SPDX-License-Identifier: GPL-2.0
"""Devices that go away below a disk in a file: a drive that is pulled out, and power cuts, after
which what was acknowledged as durable on the disk is in the file."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from guest import (
    counters,
    devices,
    durable,
    file_disks,
    files,
    filesystems,
    fio,
    kernel,
    live,
    system,
)
from guest.durable import BLOCKS, File, Generations, Writer
from guest.file_disks import backing, file_disk
from guest.filesystems import BLOCK
from guest.memory import aligned, pattern

MIB = 1 << 20

# How often power is cut
CUTS = int(os.environ.get("CUTS", "1"))
# How many writes are acknowledged before, at least
WRITES = kernel.fewer(500)

ISSUERS = ("psync", "libaio", "io_uring")
WAYS = ("dsync", "fdatasync")
SIZE = len(ISSUERS) * len(WAYS) * BLOCKS * BLOCK


@pytest.mark.skipif(not devices.MAY_PULL_OUT, reason="PULL is not set")
@pytest.mark.parametrize("direct_io", [1, 0])
@pytest.mark.parametrize("kind", ["xfs", "ext4", "block device"])
def test_drive_pulled_out_under_load(kind, direct_io):
    """All requests end, and the disk can be powered off."""
    spare = devices.spare_drive()
    with backing(kind, spare) as path:
        fio.lay_out(path, 4 * MIB)
        with file_disk(path, direct_io=direct_io, size=4, submit_queues=2) as disk:
            options = {"rw": "randrw", "iodepth": 16, "fsync": 16, "time_based": 1, "runtime": 600}
            command = fio.command(disk, ioengine="io_uring", **options)
            with system.running(command, stdout=subprocess.DEVNULL) as load:
                system.wait_for(lambda: counters.disk(disk)["write"] > 200)
                devices.pull_out_spare()
                # fio exits at its first error, unless a request hangs.
                assert load.wait(timeout=120) != 0
            # A drive that is gone has no capacity, which a block device says at a write.
            errors = r"Input/output error|No such device|No space left"
            with pytest.raises(OSError, match=errors):
                write_durably(disk)
            files.write(devices.CONFIGFS / disk.name / "power", 0)
    system.wait_for(lambda: not devices.has_drive("spare"))


def write_durably(disk: Path) -> None:
    with files.opened(disk) as fd:
        os.pwrite(fd, pattern(BLOCK), 0)
        os.fsync(fd)


def new_writers(disk: Path) -> list[Writer]:
    """Gives parts of a disk to several issuers."""
    starts = itertools.count(step=BLOCKS * BLOCK)
    return [
        Writer(issuer, [File(disk, f"{issuer}-{way}", way, next(starts)) for way in WAYS])
        for issuer in ISSUERS
    ]


def cut_power(below: Path, writers: list[Writer]) -> Generations:
    """Cuts power in the middle of writes. Returns what was acknowledged before."""
    with durable.writing(writers):
        system.wait_for(lambda: durable.writes(writers) > WRITES, 120)
        assert not any(writer.failed for writer in writers)
        before = durable.acknowledged(writers)
        files.write(devices.CONFIGFS / below.name / "power", 0)
        system.wait_for(lambda: all(writer.failed for writer in writers), 120)
    return before


def complaints(path: Path, writers: list[Writer], oldest: Generations) -> list[str]:
    """Returns what is wrong with the file of a disk after a power cut."""
    found = []
    with files.opened(path, os.O_RDONLY) as fd:
        for file in itertools.chain.from_iterable(writer.files for writer in writers):
            data = files.pread(fd, BLOCKS * BLOCK, file.start)
            found += durable.complaints_about(file.name, data, oldest[file.name], file.begun)
    return found


@pytest.mark.parametrize(
    ("kind", "blocks", "direct_io", "fua"),
    [
        ("xfs", "data", 1, 0),
        ("xfs", "holes", 1, 1),
        ("xfs", "data", 0, 1),
        ("ext4", "holes", 1, 0),
        ("ext4", "data", 1, 1),
        ("ext4", "holes", 0, 0),
    ],
)
def test_power_is_cut(kind, blocks, direct_io, fua, null_disk):
    # Small enough that the cache is full at times
    cache = {"memory_backed": 1, "blocksize": 512, "irqmode": 2, "cache_size": 2}
    below = null_disk("belowdisk", size=filesystems.enough_for(kind), **cache)
    for _ in range(CUTS):
        durable.fill_with_stale_data(below)
        with filesystems.mainline(kind, below) as mount:
            path = file_disks.sparse(mount / "image", SIZE)
            if blocks == "data":
                with files.opened(path) as fd:
                    assert os.pwrite(fd, aligned(SIZE), 0) == SIZE
            system.run("sync", "--file-system", mount)
            with file_disk(path, direct_io=direct_io, fua=fua, submit_queues=2) as disk:
                writers = new_writers(disk)
                before = cut_power(below, writers)
        # While its device dies, XFS acknowledges writes to new blocks that are not durable, see
        # test_power_cuts.py.
        exact = kind != "xfs" or blocks == "data"
        oldest = durable.acknowledged(writers) if exact else before
        files.write(devices.CONFIGFS / below.name / "power", 1)
        with filesystems.mounted(kind, below) as mount:
            assert complaints(mount / "image", writers, oldest) == []
        live.check(kind, below)
