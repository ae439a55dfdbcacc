# SPDX-License-Identifier: GPL-2.0
"""Writeback of the page cache: what reaches the device, errors, freezing."""

import os
import subprocess

import pytest

from guest import counters, devices, files, filesystems, system
from guest.filesystems import BLOCK, DATA_START
from guest.memory import pattern

LENGTH = 1 << 20

MEDIUM_ERROR = "No data available"
# The position in the file at which the drive "bad-write" fails
BAD = 65536 * 512 - DATA_START


@pytest.fixture
def data(pattern_file):
    return pattern_file(LENGTH)


# What reaches the device


@pytest.fixture
def cached_disk(null_disk):
    return null_disk(memory_backed=1, size=64, write_cache=1)


def write_by(way, path):
    memory = pattern(LENGTH, seed=1)
    if way == "mapped":
        with files.mapped(path, LENGTH) as mapping:
            mapping[:] = memory[:]
    else:
        with files.buffered(path) as fd:
            assert os.pwrite(fd, memory, 0) == LENGTH


@pytest.mark.parametrize("way", ["buffered", "mapped"])
def test_fsync_writes_back_and_flushes(way, cached_disk, diofs):
    path = diofs(cached_disk)
    write_by(way, path)
    before = counters.disk(cached_disk)["flush"]
    with files.buffered(path) as fd:
        os.fsync(fd)
    assert counters.disk(cached_disk)["flush"] == before + 1
    assert filesystems.on_device(cached_disk, LENGTH) == pattern(LENGTH, seed=1)[:]


@pytest.mark.parametrize("way", ["buffered", "mapped"])
def test_sync_writes_back_and_flushes(way, cached_disk, diofs):
    path = diofs(cached_disk)
    write_by(way, path)
    before = counters.disk(cached_disk)["flush"]
    system.run("sync", "--file-system", path.parent)
    assert counters.disk(cached_disk)["flush"] == before + 1
    assert filesystems.on_device(cached_disk, LENGTH) == pattern(LENGTH, seed=1)[:]


@pytest.mark.parametrize("way", ["buffered", "mapped"])
def test_unmount_writes_back_and_flushes(way, cached_disk):
    with filesystems.diofs(cached_disk) as path:
        write_by(way, path)
        before = counters.disk(cached_disk)["flush"]
    assert counters.disk(cached_disk)["flush"] > before
    assert filesystems.on_device(cached_disk, LENGTH) == pattern(LENGTH, seed=1)[:]


@pytest.mark.parametrize("how", ["O_SYNC", "O_DSYNC", "RWF_DSYNC"])
def test_synchronous_writes(how, cached_disk, diofs):
    flags = os.O_RDWR | getattr(os, how, 0)
    with files.opened(diofs(cached_disk), flags) as fd:
        before = counters.disk(cached_disk)["flush"]
        memory = pattern(10240, seed=1)[:10000]
        assert os.pwritev(fd, [memory], 0, getattr(os, how) if how[0] == "R" else 0) == 10000
        assert counters.disk(cached_disk)["flush"] == before + 1
        assert filesystems.on_device(cached_disk, 8192) == memory[:8192]


def test_writeback_by_itself(cached_disk, diofs):
    # sync writes back only inodes that are on the super block's lists.
    path = diofs(cached_disk)
    write_by("buffered", path)
    system.run("sync")
    assert filesystems.on_device(cached_disk, LENGTH) == pattern(LENGTH, seed=1)[:]


# Errors


def test_an_error_of_the_writeback_is_reported_once(diofs):
    path = diofs(devices.drive("bad-write"))
    with files.buffered(path) as fd, files.buffered(path) as other:
        memory = pattern(16 * BLOCK)
        assert os.pwrite(fd, memory, BAD - 8 * BLOCK) == len(memory)
        # Each open file description reports the error once.
        for each in (fd, other):
            with pytest.raises(OSError, match=MEDIUM_ERROR):
                os.fsync(each)
            os.fsync(each)
        with files.buffered(path) as late:
            os.fsync(late)
        os.pwrite(fd, b"x", 0)
        os.fsync(fd)


def test_a_synchronous_write_gets_its_error(diofs):
    path = diofs(devices.drive("bad-write"))
    with files.opened(path, os.O_RDWR | os.O_DSYNC) as fd:
        with pytest.raises(OSError, match=MEDIUM_ERROR):
            os.pwrite(fd, pattern(BLOCK), BAD)
        assert os.pwrite(fd, pattern(BLOCK), BAD + BLOCK) == BLOCK


def test_unreadable_page(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64)
    path = diofs(device)
    devices.set_bad(device, DATA_START + BLOCK)
    with files.buffered(path) as fd:
        with pytest.raises(OSError, match="Input/output error"):
            os.pread(fd, 512, BLOCK)
        with pytest.raises(OSError, match="Input/output error"):
            os.pwrite(fd, b"x", BLOCK)
        devices.set_good(device, DATA_START + BLOCK)
        assert os.pread(fd, 512, BLOCK) == bytes(512)


# Freezing


def test_a_frozen_file_system_is_not_written(data, device):
    before = filesystems.on_device(device, BLOCK)
    program = (
        "import mmap, sys; file = open(sys.argv[1], 'r+b');"
        "memory = mmap.mmap(file.fileno(), 4096); memory[0]; print(flush=True);"
        "sys.stdin.readline(); memory[0] = 255"
    )
    with (
        subprocess.Popen(
            ["python3", "-c", program, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as writer,
    ):
        writer.stdout.readline()
        with filesystems.frozen(data.parent):
            writer.stdin.write(b"\n")
            writer.stdin.flush()
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=1)
            assert filesystems.on_device(device, BLOCK) == before
        assert writer.wait(timeout=60) == 0
    system.run("sync", "--file-system", data.parent)
    assert filesystems.on_device(device, BLOCK) == b"\xff" + before[1:]
