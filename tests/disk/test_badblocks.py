# SPDX-License-Identifier: GPL-2.0
"""Bad sectors of the null disk: requests that fail because of them, and what those transfer."""

import errno
import os
from pathlib import Path

import pytest

from guest import counters, devices, files, system
from guest.devices import SECTOR
from guest.errors import fails
from guest.memory import aligned, pattern

BLOCK = 4096
SIZE = 64 << 10


def bad_sectors(device: Path) -> str:
    return files.read(devices.CONFIGFS / device.name / "badblocks")


@pytest.fixture
def make(null_disk):
    """Makes a disk with old data and these bad sectors."""

    def make_disk(bad: range, **attributes: object) -> Path:
        device = null_disk(memory_backed=1, size=16, blocksize=BLOCK, discard=1, **attributes)
        with files.opened(device) as fd:
            assert os.pwrite(fd, pattern(SIZE, seed=1), 0) == SIZE
        devices.set_bad(device, bad.start, len(bad))
        return device

    return make_disk


def read_all(device: Path, fd: int) -> bytes:
    """Reads what is there, also in bad sectors, which become good."""
    devices.set_good(device, 0, 16 << 20)
    return files.pread(fd, SIZE, 0)


def test_bad_sectors_stay_bad(make):
    device = make(range(BLOCK, 2 * BLOCK))
    with files.opened(device) as fd:
        for _ in range(3):
            fails(errno.EIO, files.pread, fd, SIZE, 0)
            fails(errno.EIO, os.pwrite, fd, pattern(SIZE), 0)
        assert bad_sectors(device) == "8 8"
        assert counters.disk(device)["error"] == 6
        assert read_all(device, fd) == pattern(SIZE, seed=1)[:]


def test_bad_sectors_become_good(make):
    device = make(range(BLOCK, 2 * BLOCK), badblocks_once=1)
    devices.set_bad(device, 8 * BLOCK, SECTOR)
    with files.opened(device) as fd:
        # Each failure is of the first range.
        fails(errno.EIO, files.pread, fd, SIZE, 0)
        assert bad_sectors(device) == "64 1"
        fails(errno.EIO, os.pwrite, fd, pattern(SIZE), 0)
        assert bad_sectors(device) == ""
        assert files.pread(fd, SIZE, 0) == pattern(SIZE, seed=1)[:]


# Where the bad sector is, and how many bytes are transferred before the block that it is in
PLACES = {0: 0, BLOCK - SECTOR: 0, 5 * BLOCK: 5 * BLOCK, 7 * BLOCK + SECTOR: 7 * BLOCK}


@pytest.mark.parametrize(("at", "transferred"), PLACES.items())
def test_partial_writes(at, transferred, make):
    device = make(range(at, at + SECTOR), badblocks_partial_io=1)
    with files.opened(device) as fd:
        fails(errno.EIO, os.pwrite, fd, pattern(SIZE), 0)
        new, old = pattern(SIZE)[:], pattern(SIZE, seed=1)[:]
        assert read_all(device, fd) == new[:transferred] + old[transferred:]


@pytest.mark.parametrize(("at", "transferred"), PLACES.items())
def test_partial_reads(at, transferred, make):
    device = make(range(at, at + SECTOR), badblocks_partial_io=1)
    memory = aligned(SIZE)
    with files.opened(device) as fd:
        fails(errno.EIO, os.preadv, fd, [memory], 0)
    assert memory[:transferred] == pattern(SIZE, seed=1)[:transferred]
    assert memory[transferred:] == bytes(SIZE - transferred)


def test_partial_discards(make):
    device = make(range(5 * BLOCK, 6 * BLOCK), badblocks_partial_io=1)
    result = system.run("blkdiscard", "--force", "--length", SIZE, device, check=False)
    assert result.returncode
    with files.opened(device) as fd:
        old = pattern(SIZE, seed=1)[:]
        assert read_all(device, fd) == bytes(5 * BLOCK) + old[5 * BLOCK :]


def test_partial_requests_begin_in_bad_sectors(make):
    """The range begins before the request."""
    device = make(range(BLOCK, 4 * BLOCK), badblocks_partial_io=1, badblocks_once=1)
    with files.opened(device) as fd:
        fails(errno.EIO, os.pwrite, fd, pattern(BLOCK), 2 * BLOCK)
        assert bad_sectors(device) == ""
        assert files.pread(fd, SIZE, 0) == pattern(SIZE, seed=1)[:]
