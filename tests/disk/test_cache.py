# SPDX-License-Identifier: GPL-2.0
"""The volatile write cache of the null disk, which a power-off loses."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, fio, kernel, system
from guest.devices import SECTOR
from guest.memory import pattern

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
BLOCK = 4096
OLD, NEW = 1, 2

DISK = {"memory_backed": 1, "size": 16, "blocksize": SECTOR, "discard": 1, "cache_size": 1}


def power(device: Path, value: int) -> None:
    files.write(devices.CONFIGFS / device.name / "power", value)


def cut_power(device: Path) -> None:
    power(device, 0)
    power(device, 1)


def read(device: Path, length: int, offset: int = 0) -> bytes:
    with files.opened(device, os.O_RDONLY | os.O_DIRECT) as fd:
        return files.pread(fd, length, offset)


def write(device: Path, data: object, offset: int = 0, flags: int = 0) -> None:
    with files.opened(device) as fd:
        assert os.pwritev(fd, [data], offset, flags) == len(data)


@pytest.fixture
def device(null_disk):
    """A disk with old data that is durable."""
    disk = null_disk(**DISK)
    write(disk, pattern(MIB, OLD), flags=os.RWF_DSYNC)
    assert counters.disk(disk)["cached_pages"] == 0
    return disk


def test_a_power_off_loses_what_was_not_flushed(device):
    write(device, pattern(64 << 10, NEW), 8192)
    assert counters.disk(device)["cached_pages"] == (64 << 10) // PAGE
    assert read(device, 64 << 10, 8192) == pattern(64 << 10, NEW)[:]
    cut_power(device)
    assert read(device, MIB) == pattern(MIB, OLD)[:]


def test_a_power_off_keeps_what_was_flushed(device):
    with files.opened(device) as fd:
        os.pwritev(fd, [pattern(MIB, NEW)], 0, os.RWF_DSYNC)
        os.pwrite(fd, pattern(MIB, NEW), MIB)
        os.fsync(fd)
    assert counters.disk(device)["cached_pages"] == 0
    cut_power(device)
    assert read(device, MIB) == pattern(MIB, NEW)[:]
    assert read(device, MIB, MIB) == pattern(MIB, NEW)[:]


def test_a_power_off_keeps_what_was_written_through(null_disk):
    """Without a flush; one would follow the write if it was not on a file system."""
    disk = null_disk(**DISK, fua=1)
    with filesystems.diofs(disk) as data, files.opened(data) as fd:
        before = counters.disk(disk)
        assert os.pwritev(fd, [pattern(MIB, NEW)], 0, os.RWF_DSYNC) == MIB
        # Nothing else is durable.
        assert os.pwrite(fd, pattern(PAGE, OLD), MIB) == PAGE
        grown = counters.grown(counters.disk(disk), before)
        assert grown["fua"] == grown["write"] - 1
        assert "flush" not in grown
        power(disk, 0)
    power(disk, 1)
    assert filesystems.on_device(disk, MIB) == pattern(MIB, NEW)[:]
    assert filesystems.on_device(disk, PAGE, MIB) == bytes(PAGE)


def test_sectors_of_a_page(device):
    """A page has sectors that are durable, sectors that are in the cache, and old ones."""
    old, new = pattern(PAGE, OLD)[:], pattern(PAGE, NEW)[:]
    write(device, memoryview(pattern(PAGE, NEW))[SECTOR : 2 * SECTOR], SECTOR, os.RWF_DSYNC)
    durable = old[:SECTOR] + new[SECTOR : 2 * SECTOR] + old[2 * SECTOR :]
    write(device, memoryview(pattern(PAGE, NEW))[3 * SECTOR : 5 * SECTOR], 3 * SECTOR)
    now = durable[: 3 * SECTOR] + new[3 * SECTOR : 5 * SECTOR] + durable[5 * SECTOR :]
    assert read(device, PAGE) == now
    cut_power(device)
    assert read(device, PAGE) == durable


def test_more_data_than_the_cache_has_room_for(device):
    size = 4 * MIB
    write(device, pattern(size, OLD), flags=os.RWF_DSYNC)
    for at in range(0, size, 256 << 10):
        write(device, memoryview(pattern(size, NEW))[at : at + (256 << 10)], at)
        assert counters.disk(device)["cached_pages"] <= MIB // PAGE
    assert read(device, size) == pattern(size, NEW)[:]
    cut_power(device)
    # A quarter of it was in the cache.
    old, new, found = pattern(size, OLD), pattern(size, NEW), read(device, size)
    lost = 0
    for at in range(0, size, PAGE):
        page = found[at : at + PAGE]
        lost += page == old[at : at + PAGE]
        assert page in (old[at : at + PAGE], new[at : at + PAGE])
    assert lost == MIB // PAGE


@pytest.mark.parametrize("option", [[], ["--zeroout"]], ids=["discard", "write-zeroes"])
def test_discard_and_write_zeroes(option, device):
    """The range has old data that is in the cache, and some that is not."""
    write(device, pattern(64 << 10, NEW))
    system.run("blkdiscard", "--force", *option, "--offset", 512, "--length", 128 << 10, device)
    expected = bytearray(pattern(MIB, OLD)[:])
    expected[: 64 << 10] = pattern(64 << 10, NEW)[:]
    expected[512 : 512 + (128 << 10)] = bytes(128 << 10)
    assert read(device, MIB) == expected


@pytest.mark.parametrize("irqmode", [0, 1, 2])
def test_data_comes_back(irqmode, null_disk):
    device = null_disk(**DISK, irqmode=irqmode, poll_queues=1, submit_queues=2)
    for engine in ({"ioengine": "libaio"}, {"ioengine": "io_uring", "hipri": 1, "sync": "dsync"}):
        job = fio.run(
            device, rw="randwrite", verify="crc32c", bsrange="512-64k", iodepth=8, **engine
        )
        assert job["error"] == 0


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_a_power_cut_does_not_wait_for_what_is_queued(kind, null_disk):
    """A file system has more to write back than the disk transfers in minutes."""
    device = null_disk(memory_backed=1, size=512, cache_size=1)
    size = kernel.fewer(128 * MIB, least=80 * MIB)
    # Not made with a limit, which would take long.
    with filesystems.mainline(kind, device):
        pass
    power(device, 0)
    files.write(devices.CONFIGFS / device.name / "mbps", 1)
    power(device, 1)
    with filesystems.mounted(kind, device) as mount:
        data = mount / "data"
        data.write_bytes(bytes(size))
        load = subprocess.Popen(["sync", "--file-system", mount], stderr=subprocess.DEVNULL)
        system.wait_for(lambda: devices.requests(device) > 10)
        begin = time.monotonic()
        power(device, 0)
        # To transfer it takes longer.
        assert time.monotonic() - begin < 60 < size / MIB
        assert load.wait(60) != 0


def test_a_cache_needs_memory(null_disk):
    with pytest.raises(OSError, match="Invalid argument"):
        null_disk(cache_size=1)
