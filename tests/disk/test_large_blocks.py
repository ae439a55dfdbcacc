# SPDX-License-Identifier: GPL-2.0
"""Null disks with logical blocks that are larger than a page, and what is on them."""

import errno
import os
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, fio, large_blocks, system
from guest import zones as zone_files
from guest.devices import SECTOR, queue_limit
from guest.errors import fails
from guest.large_blocks import ENGINES, LARGEST, NEW, OLD, SIZES, read, verify, write
from guest.memory import aligned, pattern

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(
    not large_blocks.has_them(), reason="the block layer has no such blocks"
)


@pytest.mark.parametrize("blocksize", SIZES)
def test_the_block_layer_sees_them(blocksize, make_blocks):
    device = make_blocks(blocksize, discard=1)
    for name in (
        "logical_block_size",
        "physical_block_size",
        "minimum_io_size",
        "discard_granularity",
    ):
        assert queue_limit(device, name) == blocksize


@pytest.mark.parametrize("blocksize", SIZES)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "attributes",
    [{}, {"irqmode": 2}, {"cache_size": 1}, {"virt_boundary": 1}, {"max_sectors": 128}],
    ids=["plain", "timer", "cache", "boundary", "short"],
)
def test_data_comes_back(attributes, engine, blocksize, make_blocks):
    device = make_blocks(blocksize, poll_queues=1, **attributes)
    verify(device, blocksize, **ENGINES[engine])
    assert (counters.disk(device)["polled"] > 0) == (engine == "polled")


@pytest.mark.parametrize("blocksize", SIZES)
def test_misaligned_direct_io(blocksize, make_blocks):
    device = make_blocks(blocksize)
    write(device, 4 * blocksize, OLD)
    with files.opened(device) as fd:
        for length, offset in ((PAGE, 0), (blocksize, PAGE), (blocksize + SECTOR, 0)):
            fails(errno.EINVAL, os.pwrite, fd, pattern(length), offset)
            fails(errno.EINVAL, os.preadv, fd, [aligned(length)], offset)
    assert read(device, 4 * blocksize) == pattern(4 * blocksize, OLD)[:]


@pytest.mark.parametrize("blocksize", SIZES)
def test_memory_in_pieces(blocksize, make_blocks):
    """The pieces are less than a page, and so is their alignment."""
    device = make_blocks(blocksize)
    new = memoryview(pattern(2 * blocksize, NEW))
    with files.opened(device) as fd:
        pieces = [new[at : at + SECTOR] for at in range(0, blocksize, SECTOR)]
        assert os.pwritev(fd, pieces, blocksize) == blocksize
        assert os.pwritev(fd, [new[SECTOR : SECTOR + blocksize]], 3 * blocksize) == blocksize
    found = read(device, 4 * blocksize)
    assert found[:blocksize] == bytes(blocksize)
    assert found[blocksize:] == new[:blocksize].tobytes() + bytes(blocksize) + (
        new[SECTOR : SECTOR + blocksize].tobytes()
    )


@pytest.mark.parametrize("blocksize", SIZES)
def test_buffered_io(blocksize, make_blocks):
    """A write through the page cache reads the rest of the block first."""
    device = make_blocks(blocksize)
    write(device, 4 * blocksize, OLD)
    new = pattern(blocksize, NEW)[:]
    start = blocksize - 100
    with files.buffered(device) as fd:
        assert os.pwrite(fd, new, start) == blocksize
        os.fsync(fd)
        expected = bytearray(pattern(4 * blocksize, OLD)[:])
        expected[start : start + blocksize] = new
        assert os.pread(fd, 4 * blocksize, 0) == expected
    assert read(device, 4 * blocksize) == expected


@pytest.mark.parametrize("blocksize", SIZES)
@pytest.mark.parametrize("option", [[], ["--zeroout"]], ids=["discard", "write-zeroes"])
def test_discard_and_write_zeroes(option, blocksize, make_blocks):
    device = make_blocks(blocksize, discard=1)
    write(device, MIB, OLD)
    pages = counters.disk(device)["pages"]
    length = 3 * blocksize
    system.run("blkdiscard", "--force", *option, "-o", blocksize, "-l", length, device)
    assert counters.disk(device)["pages"] == pages - length // PAGE
    expected = bytearray(pattern(MIB, OLD)[:])
    expected[blocksize : blocksize + length] = bytes(length)
    assert read(device, MIB) == expected
    # Less than a block is refused.
    result = system.run("blkdiscard", "--force", *option, "-l", PAGE, device, check=False)
    assert result.returncode
    assert read(device, MIB) == expected


@pytest.mark.parametrize("blocksize", SIZES)
@pytest.mark.parametrize("rest", [0, SECTOR, PAGE])
def test_bad_sectors(rest, blocksize, make_blocks):
    """A request transfers the blocks before that with the bad sector."""
    device = make_blocks(blocksize, badblocks_partial_io=1, badblocks_once=1)
    length = 8 * blocksize
    write(device, length, OLD)
    good = 5 * blocksize
    devices.set_bad(device, good + rest)
    with files.opened(device) as fd:
        fails(errno.EIO, os.pwrite, fd, pattern(length, NEW), 0)
    assert read(device, length) == pattern(length, NEW)[:good] + pattern(length, OLD)[good:]
    devices.set_bad(device, good + rest)
    memory = aligned(length)
    with files.opened(device) as fd:
        fails(errno.EIO, os.preadv, fd, [memory], 0)
    assert memory[:] == pattern(length, NEW)[:good] + bytes(length - good)


@pytest.mark.parametrize("blocksize", SIZES)
def test_a_power_cut_leaves_whole_blocks(blocksize, make_blocks):
    """The cache has room for a part of what is written."""
    device = make_blocks(blocksize, cache_size=1, discard=1)
    size = 4 * MIB
    write(device, size, OLD, flags=os.RWF_DSYNC)
    blocks = list(range(0, size, blocksize))
    # In another order than that of the cache
    new = memoryview(pattern(size, NEW))
    with files.opened(device) as fd:
        for at in blocks[1::2] + blocks[-2::-2]:
            assert os.pwritev(fd, [new[at : at + blocksize]], at) == blocksize
        system.run("blkdiscard", "--force", "-o", MIB, "-l", blocksize, device)
        assert os.pwritev(fd, [new[MIB : MIB + blocksize]], MIB) == blocksize
    power = devices.CONFIGFS / device.name / "power"
    files.write(power, 0)
    files.write(power, 1)
    old, found = pattern(size, OLD), read(device, size)
    lost = 0
    for at in blocks:
        possible = (
            bytes(blocksize) if at == MIB else old[at : at + blocksize],
            new[at : at + blocksize],
        )
        assert found[at : at + blocksize] in possible
        lost += found[at : at + blocksize] == possible[0]
    assert MIB // blocksize - 1 <= lost <= MIB // blocksize


@pytest.mark.parametrize("blocksize", SIZES)
def test_zones(blocksize, make_blocks):
    device = make_blocks(blocksize, zoned=1, zone_size=1, zone_append_max_sectors=255)
    assert queue_limit(device, "zone_append_max_bytes") == 255 * SECTOR // blocksize * blocksize
    assert queue_limit(device, "zone_write_granularity") == blocksize
    with files.opened(device) as fd:
        zone = zone_files.report(fd)[3]
        assert os.pwrite(fd, pattern(2 * blocksize), zone.start) == 2 * blocksize
        fails(errno.EINVAL, os.pwrite, fd, pattern(PAGE), zone.start + 2 * blocksize)
        fails(errno.EIO, os.pwrite, fd, pattern(blocksize), zone.start + blocksize)
        assert zone_files.report(fd)[3].written == 2 * blocksize
        expected = pattern(2 * blocksize)[:] + bytes(blocksize)
        assert files.pread(fd, 3 * blocksize, zone.start) == expected
    # Less than a block: the block layer makes writes of zone appends.
    limit = blocksize // SECTOR - 1
    other = make_blocks(
        blocksize, name="small", zoned=1, zone_size=1, zone_append_max_sectors=limit
    )
    assert queue_limit(other, "zone_append_max_bytes") == MIB
    job = fio.run(
        other,
        rw="write",
        bs=blocksize,
        ioengine="libaio",
        iodepth=4,
        zonemode="zbd",
        size=4 * MIB,
        verify="crc32c",
    )
    assert job["error"] == 0


def test_zones_keep_their_data_when_blocks_become_larger(make_blocks):
    device = make_blocks(PAGE, zoned=1, zone_size=1)
    write(device, PAGE, OLD)
    directory = devices.CONFIGFS / device.name
    files.write(directory / "power", 0)
    files.write(directory / "blocksize", LARGEST)
    files.write(directory / "power", 1)
    with files.opened(device) as fd:
        (zone, *_) = zone_files.report(fd)
        assert zone.written == PAGE
        for offset in (0, LARGEST):
            fails(errno.EIO, os.pwrite, fd, pattern(LARGEST), offset)
        assert files.pread(fd, LARGEST, 0) == pattern(PAGE, OLD)[:] + bytes(LARGEST - PAGE)
        zone_files.reset(fd, zone)
        assert os.pwrite(fd, pattern(LARGEST, NEW), 0) == LARGEST
        assert files.pread(fd, LARGEST, 0) == pattern(LARGEST, NEW)[:]


def test_a_request_has_a_block():
    with file_disks.directory() as where:
        files.write(where / "blocksize", LARGEST)
        refused = file_disks.refused(where, errno.EINVAL, max_sectors=LARGEST // SECTOR - 1)
        assert refused == "max_sectors is less than blocksize"
        # At 1 MiB/s, a request has at most 10 MiB.
        files.write(where / "max_sectors", LARGEST // SECTOR)
        files.write(where / "mbps", 1)
        files.write(where / "power", 1)
        device = Path("/dev", where.name)
        assert queue_limit(device, "max_hw_sectors_kb") == LARGEST >> 10
        before = counters.disk(device)["write"]
        write(device, 4 * LARGEST, NEW)
        assert counters.disk(device)["write"] - before == 4
