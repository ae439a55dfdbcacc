# SPDX-License-Identifier: GPL-2.0
"""File systems that can be on zones: btrfs, which issues zone appends, and f2fs."""

import os
import zlib
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, fio, kernel, live, system, zones

pytestmark = pytest.mark.skipif(kernel.IS_DEBUG, reason="has neither btrfs nor f2fs")

MIB = 1 << 20
NAME = "zoneddisk"
DISK = {"memory_backed": 1, "zoned": 1, "zone_size": 4, "submit_queues": 2}

# Pairs of files, with the size of each file. The disks are not so small that they have room only if
# zones are reset in time, because btrfs does that by a thread, and meanwhile has no space left.
PAIRS = {"first": 12 * MIB, "second": 22 * MIB}
# There is no fsync, which may fail with EAGAIN when btrfs has as few zones for metadata as here. It
# does so on null_blk as well.
WAYS = {
    "buffered": {"ioengine": "psync", "direct": 0},
    "direct": {"ioengine": "libaio", "iodepth": 8},
}


def write(mount: Path, pair: str) -> None:
    """Writes the files of a pair at random, and verifies what was written."""
    common = {
        "rw": "randwrite",
        "bsrange": "16k-256k",
        "size": PAIRS[pair],
        "verify": "crc32c",
        "allow_file_create": 1,
    }
    jobs = {way: {"filename": mount / f"{pair}-{way}", **WAYS[way]} for way in WAYS}
    for job in fio.run_jobs(common, jobs).values():
        assert job["read"]["io_bytes"] == PAIRS[pair]
    os.sync()


def write_pointers(disk: Path) -> list[int]:
    with files.opened(disk, os.O_RDONLY) as fd:
        return [zone.written for zone in zones.report(fd)]


def remove(disk: Path, mount: Path, pair: str) -> None:
    """Removes the files of a pair, and waits until the file system has reset a zone."""
    before = write_pointers(disk)
    for way in WAYS:
        (mount / f"{pair}-{way}").unlink()

    def has_reset() -> bool:
        os.sync()
        return any(now < then for now, then in zip(write_pointers(disk), before, strict=True))

    system.wait_for(has_reset)


def checksums(mount: Path) -> list[int]:
    """Returns a checksum of each file."""
    return [zlib.crc32((mount / f"{pair}-{way}").read_bytes()) for pair in PAIRS for way in WAYS]


def exercise(kind: str, disk: Path, mkfs: list[str]) -> dict[str, int]:
    """Makes a file system and fills it, overwrites files, and removes and writes others. They must
    be there when it is mounted again, and after the disk has been off. Returns what the disk has
    counted until then."""
    system.run("modprobe", kind)
    with filesystems.mainline(kind, disk, mkfs) as mount:
        for pair in ("first", "second", "first"):
            write(mount, pair)
        remove(disk, mount, "second")
        write(mount, "second")
        expected = checksums(mount)
    counted = counters.disk(disk)
    for power in (1, 0):
        live.check(kind, disk)
        with filesystems.mounted(kind, disk) as mount:
            assert checksums(mount) == expected
        assert counters.disk(disk)["error"] == 0
        if power:
            for value in (0, 1):
                files.write(devices.CONFIGFS / NAME / "power", value)
            system.wait_for(disk.exists)
    return counted


@pytest.mark.parametrize("limit", [0, 2**31 - 1], ids=["writes", "zone appends"])
def test_btrfs(limit, null_disk):
    """btrfs does not know whether the block layer makes writes of its zone appends."""
    disk = null_disk(NAME, **DISK, size=256, zone_append_max_sectors=limit)
    counted = exercise("btrfs", disk, ["-O", "zoned", "-m", "single"])
    assert (counted["zone_append"] > 0) == (limit > 0)
    assert counted["zone_management"] > 0


def test_f2fs(null_disk):
    """It has its metadata in conventional zones, and more zones in reserve."""
    disk = null_disk(NAME, **DISK, size=176, zone_nr_conv=8, zone_max_open=8)
    counted = exercise("f2fs", disk, ["-m"])
    assert counted["zone_append"] == 0
    assert counted["zone_management"] > 0
