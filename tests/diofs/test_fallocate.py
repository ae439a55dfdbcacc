# SPDX-License-Identifier: GPL-2.0
"""fallocate(2), and other system calls that wait for direct I/O: truncation, freezing."""

import fcntl
import os
import subprocess
import time

import pytest

from guest import counters, devices, files, filesystems, fio, kernel, system
from guest.files import (
    COLLAPSE_RANGE,
    INSERT_RANGE,
    KEEP_SIZE,
    PUNCH_HOLE,
    UNSHARE_RANGE,
    ZERO_RANGE,
    fallocate,
)
from guest.filesystems import DATA_START
from guest.memory import pattern

DEADLOCK = system.SAMPLES / "deadlock"


@pytest.fixture
def no_offload(null_disk):
    """Makes a disk without write-zeroes, so that zeros are written as data."""
    return null_disk(memory_backed=1, size=64, blocksize=512)


def test_all_blocks_are_there(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with files.opened(data) as fd:
        os.pwritev(fd, [pattern(8192)], 0)
        for mode in (0, KEEP_SIZE):
            for offset, length in ((0, 1), (0, size), (size - 1, 1), (4095, 2)):
                fallocate(fd, mode, offset, length)
            for offset, length in ((0, size + 1), (size, 1), (size + 4096, 4096)):
                with pytest.raises(OSError, match="No space left"):
                    fallocate(fd, mode, offset, length)
        os.posix_fallocate(fd, 0, size)
        assert files.pread(fd, 8192, 0) == pattern(8192)[:]
    assert data.stat().st_size == size


def test_zero_range(device, diofs):
    ranges = ((0, 512), (512, 4096), (4096, 65536), (3584, 9 * 512), (0, 1 << 20))
    with files.opened(diofs(device)) as fd:
        for keep in (0, KEEP_SIZE):
            for offset, length in ranges:
                expected = bytearray(pattern(1 << 20)[:])
                expected[offset : offset + length] = bytes(length)
                os.pwritev(fd, [pattern(1 << 20)], 0)
                fallocate(fd, ZERO_RANGE | keep, offset, length)
                assert files.pread(fd, 1 << 20, 0) == expected


def test_zero_range_without_offload(no_offload, diofs):
    with files.opened(diofs(no_offload)) as fd:
        os.pwritev(fd, [pattern(1 << 20)], 0)
        fallocate(fd, ZERO_RANGE, 512, (1 << 20) - 1024)
        assert files.pread(fd, 1 << 20, 0) == (
            pattern(512)[:] + bytes((1 << 20) - 1024) + pattern(1 << 20)[-512:]
        )


def test_zero_range_of_parts_of_blocks(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with files.opened(data) as fd:
        os.pwritev(fd, [pattern(8192)], 0)
        for offset, length in ((1, 512), (0, 511), (256, 512), (512, 513)):
            with pytest.raises(OSError, match="Invalid argument"):
                fallocate(fd, ZERO_RANGE, offset, length)
        with pytest.raises(OSError, match="No space left"):
            fallocate(fd, ZERO_RANGE, size - 512, 1024)
        assert files.pread(fd, 8192, 0) == pattern(8192)[:]


def test_zero_range_is_durable_on_request(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    data = diofs(device)
    for flags, flushes in ((0, 0), (os.O_DSYNC, 1)):
        with files.opened(data, os.O_RDWR | os.O_DIRECT | flags) as fd:
            before = counters.disk(device)["flush"]
            fallocate(fd, ZERO_RANGE, 0, 4096)
            assert counters.disk(device)["flush"] == before + flushes


def test_zero_range_that_fails(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, blocksize=512)
    devices.set_bad(device, DATA_START + 4096)
    with files.opened(diofs(device)) as fd:
        with pytest.raises(OSError, match="Input/output error"):
            fallocate(fd, ZERO_RANGE, 0, 8192)
        fallocate(fd, ZERO_RANGE, 0, 4096)


def test_other_modes(no_offload, diofs):
    modes = (PUNCH_HOLE | KEEP_SIZE, COLLAPSE_RANGE, INSERT_RANGE, UNSHARE_RANGE, 0x100)
    with files.opened(diofs(no_offload)) as fd:
        for mode in modes:
            with pytest.raises(OSError, match="Operation not supported"):
                fallocate(fd, mode, 0, 4096)


@pytest.mark.skipif(kernel.IS_DEBUG, reason="the kernel refuses writes to mounted devices")
def test_zero_range_does_not_trust_clean_pages(no_offload, diofs):
    # Like a deferred direct write that has not invalidated the page yet.
    data = diofs(no_offload)
    with files.opened(data) as fd, files.opened(data, os.O_RDONLY) as buffered:
        os.pwritev(fd, [pattern(4096, seed=1)], 0)
        assert os.pread(buffered, 4096, 0) == pattern(4096, seed=1)[:]
        with files.opened(no_offload) as device:
            os.pwritev(device, [pattern(4096, seed=2)], DATA_START)
        fallocate(fd, ZERO_RANGE, 2048, 512)
        os.fsync(fd)
        expected = bytearray(pattern(4096, seed=2)[:])
        expected[2048:2560] = bytes(512)
        assert files.pread(fd, 4096, 0) == expected
        assert os.pread(buffered, 4096, 0) == expected


def test_zero_range_updates_the_times(no_offload, diofs):
    data = diofs(no_offload)
    before = data.stat()
    files.wait_for_tick(before)
    with files.opened(data) as fd:
        fallocate(fd, ZERO_RANGE, 0, 4096)
    assert data.stat().st_mtime_ns > before.st_mtime_ns


# Freezing


def test_writes_wait_while_frozen(device, diofs):
    data = diofs(device)
    with files.opened(data) as fd:
        os.pwritev(fd, [pattern(4096)], 0)
        system.run("fsfreeze", "--freeze", data.parent)
        try:
            assert files.pread(fd, 4096, 0) == pattern(4096)[:]
            program = (
                "import os, mmap, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT);"
                "print('begin', flush=True); os.pwritev(fd, [mmap.mmap(-1, 4096)], 0)"
            )
            with system.running(
                ["python3", "-c", program, data], stdout=subprocess.PIPE, text=True
            ) as writer:
                try:
                    assert writer.stdout.readline() == "begin\n"
                    time.sleep(0.5)
                    assert writer.poll() is None
                    assert files.pread(fd, 4096, 0) == pattern(4096)[:]
                finally:
                    # The writer cannot end before.
                    system.run("fsfreeze", "--unfreeze", data.parent)
                assert writer.wait(timeout=60) == 0
        finally:
            system.run("fsfreeze", "--unfreeze", data.parent, check=False)
        assert files.pread(fd, 4096, 0) == bytes(4096)


def test_freezing_flushes(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    with files.opened(diofs(device)) as fd:
        before = counters.disk(device)["flush"]
        fcntl.ioctl(fd, filesystems.FIFREEZE, 0)
        assert counters.disk(device)["flush"] > before
        with pytest.raises(OSError, match="busy"):
            fcntl.ioctl(fd, filesystems.FIFREEZE, 0)
        fcntl.ioctl(fd, filesystems.FITHAW, 0)
        with pytest.raises(OSError, match="Invalid argument"):
            fcntl.ioctl(fd, filesystems.FITHAW, 0)


# A task that waits for its own requests in a system call


WAITS = ([], ["--ftruncate"], ["--freeze"])


@pytest.mark.parametrize("completion", ["auto", "defer"])
def test_a_task_that_waits_for_its_own_writes(completion, device, diofs):
    # Under "defer", each completion needs the task itself.
    data = diofs(device, "-o", f"completion={completion}")
    for wait in WAITS:
        for more in ([], ["--dsync"], ["--depth=8"]):
            result = system.run(DEADLOCK, "--rounds=500", *wait, *more, data)
            assert "500 rounds" in result.stdout


@pytest.mark.parametrize("wait", ["allocate", "zero", "ftruncate"])
def test_a_file_that_others_keep_busy(wait, null_disk, diofs):
    # So slow that a write is under way at any time.
    device = null_disk(memory_backed=1, size=64, irqmode=2, completion_nsec=30_000_000)
    data = diofs(device)
    size = data.stat().st_size
    job = {"ioengine": "libaio", "iodepth": 4, "numjobs": 3, "offset": "1M", "size": "1M"}
    command = fio.command(data, rw="randwrite", time_based=1, runtime=600, **job)
    before = counters.total(device)
    with (
        files.opened(data) as fd,
        system.running(command, stdout=subprocess.PIPE, text=True) as busy,
    ):
        system.wait_for(lambda: counters.total(device) > before + 100)
        begin = time.monotonic()
        for _ in range(10):
            if wait == "allocate":
                fallocate(fd, 0, 0, 4096)
            elif wait == "zero":
                fallocate(fd, ZERO_RANGE, 0, 4096)
            else:
                os.ftruncate(fd, size)
        took = time.monotonic() - begin
        assert busy.poll() is None
        # With writes in the way, it would take as long as these.
        assert took < 60
        busy.terminate()
        jobs = fio.job_output(busy.communicate()[0])["jobs"]
        assert [job["error"] for job in jobs] == [0, 0, 0]


def test_a_task_that_waits_for_its_own_durable_writes(null_disk, diofs):
    # Without FUA, a flush follows the end of the data.
    device = null_disk(memory_backed=1, size=64, irqmode=2, write_cache=1)
    data = diofs(device)
    for wait in WAITS:
        system.run(DEADLOCK, "--rounds=500", "--dsync", "--depth=4", *wait, data)
