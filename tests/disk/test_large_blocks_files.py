# SPDX-License-Identifier: GPL-2.0
"""File systems on null disks with logical blocks that are larger than a page, and disks in files on
these disks."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import (
    devices,
    file_disks,
    files,
    filesystems,
    fio,
    kernel,
    large_blocks,
    live,
    system,
    tools,
)
from guest.devices import SECTOR, capacity, queue_limit
from guest.errors import fails
from guest.file_disks import backing, file_disk
from guest.large_blocks import ENGINES, LARGEST, NEW, OLD, SIZES, read, verify, write
from guest.memory import pattern

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
# The largest sector that XFS has
XFS_LARGEST = 32768

pytestmark = pytest.mark.skipif(
    not large_blocks.has_them(), reason="the block layer has no such blocks"
)


def test_diofs_is_refused(make_blocks, tmp_path):
    device = make_blocks(8192)
    reason = "logical blocks of 8192 bytes are larger than a page"
    result = tools.mkfs_diofs("--force", device, check=False)
    assert result.returncode
    assert reason in result.stderr
    assert read(device, MIB) == bytes(MIB)
    with kernel.new_log_lines() as lines:
        result = system.run("mount", "-t", "diofs", device, tmp_path, check=False)
    assert result.returncode == 32
    assert any(f"diofs ({device.name}): {reason}" in line for line in lines), lines


@pytest.mark.parametrize("blocksize", [8192, 16384, XFS_LARGEST])
@pytest.mark.parametrize("attached", [False, True], ids=["mainline", "attached"])
def test_xfs(attached, blocksize, make_blocks):
    device = make_blocks(blocksize, size=320, cache_size=16)
    sizes = ("-s", f"size={blocksize}", "-b", f"size={blocksize}")
    with filesystems.mainline("xfs", device, mkfs=sizes) as mount:
        verify_files(mount, blocksize, attached)
    with filesystems.mounted("xfs", device) as mount:
        assert (mount / "data").read_bytes() == pattern(MIB, NEW)[:]
    live.check("xfs", device)


@pytest.mark.parametrize("blocksize", SIZES)
@pytest.mark.parametrize("attached", [False, True], ids=["mainline", "attached"])
def test_ext4(attached, blocksize, make_blocks):
    device = make_blocks(blocksize, size=320, cache_size=16)
    with filesystems.mainline("ext4", device, mkfs=("-b", str(blocksize))) as mount:
        verify_files(mount, blocksize, attached)
    with filesystems.mounted("ext4", device) as mount:
        assert (mount / "data").read_bytes() == pattern(MIB, NEW)[:]
    live.check("ext4", device)


def verify_files(mount: Path, blocksize: int, is_attached: bool) -> None:
    """Verifies direct and buffered I/O of files, and leaves a file with NEW data."""
    with live.attached(mount) if is_attached else contextlib.nullcontext():
        fio.lay_out(mount / "direct", fio.SIZE)
        verify(mount / "direct", blocksize, **ENGINES["io_uring"])
        verify(mount / "new", blocksize, **ENGINES["libaio"], allow_file_create=1)
        verify(mount / "buffered", 512, ioengine="psync", direct=0, allow_file_create=1)
        with files.opened(mount / "direct") as fd:
            fails(errno.EINVAL, os.pwrite, fd, pattern(PAGE), PAGE)
        if is_attached:
            assert sum(live.routes().values()) > 0
        fio.lay_out(mount / "data", MIB)
        with files.opened(mount / "data") as fd:
            assert os.pwrite(fd, pattern(MIB, NEW), 0) == MIB
            os.fsync(fd)


@contextlib.contextmanager
def on_large_blocks(kind: str, below: Path) -> Iterator[Path]:
    """Gives a sparse file on the device BELOW, or BELOW itself."""
    if kind == "block device":
        yield below
        return
    # By default, it has blocks of 4096 bytes.
    blocks = ("-b", f"size={queue_limit(below, 'logical_block_size')}")
    with filesystems.mainline(kind, below, mkfs=blocks) as mount:
        yield file_disks.sparse(mount / "image")


@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_a_disk_in_a_file_on_them(kind, make_blocks):
    below = make_blocks(16384, name="belowdisk", size=320, irqmode=2)
    with on_large_blocks(kind, below) as file:
        with file_disks.directory("small") as where:
            refused = file_disks.refused(where, errno.EINVAL, backing_file=file, blocksize=8192)
            assert refused == (
                "blocksize is less than the 16384 bytes in which the file takes direct I/O"
            )
        for blocksize in (16384, LARGEST):
            with file_disk(file, f"on{blocksize}", blocksize=blocksize, discard=1) as device:
                assert queue_limit(device, "logical_block_size") == blocksize
                verify(device, blocksize, **ENGINES["io_uring"])
                write(device, MIB, NEW)
                system.run("blkdiscard", "--force", "-o", blocksize, "-l", blocksize, device)
                expected = bytearray(pattern(MIB, NEW)[:])
                expected[blocksize : 2 * blocksize] = bytes(blocksize)
                assert read(device, MIB) == expected
        # Through the page cache of the file
        with file_disk(file, "cached", blocksize=SECTOR, direct_io=0) as device:
            write(device, SECTOR, OLD, 5 * SECTOR)
            expected[5 * SECTOR : 6 * SECTOR] = pattern(SECTOR, OLD)[:]
            assert read(device, MIB) == expected
        with file_disk(file, "again", blocksize=LARGEST) as device:
            assert read(device, MIB) == expected


@pytest.mark.parametrize("direct", [0, 1])
@pytest.mark.parametrize("blocksize", SIZES)
def test_they_are_in_a_file_with_smaller_blocks(blocksize, direct, null_disk):
    below = null_disk("belowdisk", memory_backed=1, size=320, blocksize=SECTOR)
    size = 16 * MIB + LARGEST - SECTOR
    with (
        backing("ext4", below, size) as file,
        file_disk(file, blocksize=blocksize, direct_io=direct) as device,
    ):
        # Whole blocks
        assert capacity(device) == size // blocksize * blocksize
        verify(device, blocksize, **ENGINES["libaio"])
        write(device, MIB, NEW, capacity(device) - MIB)
        assert read(device, MIB, capacity(device) - MIB) == pattern(MIB, NEW)[:]


def test_a_disk_in_the_drive_with_such_blocks():
    drive = devices.drive("large-blocks")
    with file_disk(drive, blocksize=16384) as device:
        verify(device, 16384, **ENGINES["io_uring"])
        write(device, MIB, NEW)
    assert read(drive, MIB) == pattern(MIB, NEW)[:]
