# SPDX-License-Identifier: GPL-2.0
"""Buffered and mapped access to the file, which sees the same data as direct I/O."""

import concurrent.futures
import mmap
import os
import threading
import time
from pathlib import Path

import pytest

from guest import counters, devices, files, filesystems, fio, kernel, system, tools
from guest.filesystems import BLOCK, DATA_START
from guest.memory import address, aligned, filled, pattern
from guest.vectors import NOWHERE, pwritev2

LENGTH = 1 << 20

# Unaligned pieces of the first MiB, as (offset, length)
PIECES = (
    (0, 1),
    (511, 2),
    (4095, 2),
    (5000, 10000),
    (65536 - 7, 65536 + 14),
    (LENGTH // 2 + 513, 4096),
    (LENGTH - 1, 1),
)

# Index of the page of a request that another thread keeps dirtying
BUSY = 8

RWF_DONTCACHE = 0x80


@pytest.fixture
def data(pattern_file):
    return pattern_file(LENGTH)


# Reads after writes of another kind


def test_buffered_writes_are_read_directly(data):
    expected = bytearray(pattern(LENGTH))
    with files.buffered(data) as fd, files.opened(data) as direct:
        for number, (offset, length) in enumerate(PIECES):
            piece = bytes([number + 1]) * length
            expected[offset : offset + length] = piece
            assert os.pwrite(fd, piece, offset) == length
            block = offset & ~511
            assert files.pread(direct, 512, block) == expected[block : block + 512]
        assert os.pread(fd, LENGTH, 0) == expected
        assert files.pread(direct, LENGTH, 0) == expected


@pytest.mark.parametrize("cached", [False, True], ids=["not-cached", "cached"])
def test_direct_writes_are_read_buffered(cached, data):
    expected = bytearray(pattern(LENGTH))
    with files.buffered(data) as fd, files.opened(data) as direct:
        for seed, (offset, length) in enumerate(((0, 512), (4096, 8192), (65536 + 512, 262144))):
            if cached:
                assert os.pread(fd, LENGTH, 0) == expected
            expected[offset : offset + length] = pattern(length, seed=seed + 1)
            assert os.pwritev(direct, [pattern(length, seed=seed + 1)], offset) == length
            assert os.pread(fd, LENGTH, 0) == expected


def test_direct_write_beside_dirty_bytes(data):
    # Both blocks are in one page; the buffered write changes part of the first.
    with files.buffered(data) as fd, files.opened(data) as direct:
        assert os.pwrite(fd, b"buffered", 100) == 8
        assert os.pwritev(direct, [pattern(512, seed=1)], 512) == 512
        expected = bytearray(pattern(LENGTH))
        expected[100:108] = b"buffered"
        expected[512:1024] = pattern(512, seed=1)
        assert files.pread(direct, 4096, 0) == expected[:4096]
        assert os.pread(fd, 4096, 0) == expected[:4096]


@pytest.mark.parametrize("sync", [False, True], ids=["", "msync"])
def test_mapped_writes_are_read_directly(sync, data):
    expected = bytearray(pattern(LENGTH))
    with files.mapped(data, LENGTH) as memory, files.opened(data) as direct:
        assert memory[:] == expected
        for number, (offset, length) in enumerate(PIECES):
            piece = bytes([number + 1]) * length
            expected[offset : offset + length] = piece
            memory[offset : offset + length] = piece
            if sync:
                memory.flush()
            block = offset & ~511
            assert files.pread(direct, 512, block) == expected[block : block + 512]
        assert files.pread(direct, LENGTH, 0) == expected


@pytest.mark.parametrize("dirty", [False, True], ids=["clean", "dirty"])
def test_direct_write_under_a_mapping(dirty, data):
    expected = bytearray(pattern(LENGTH))
    with files.mapped(data, LENGTH) as memory, files.opened(data) as direct:
        for seed, offset in enumerate((0, 4096, 65536)):
            assert memory[:] == expected
            if dirty:
                memory[offset - 1] = expected[offset - 1] = seed
            expected[offset : offset + 8192] = pattern(8192, seed=seed + 1)
            assert os.pwritev(direct, [pattern(8192, seed=seed + 1)], offset) == 8192
            assert memory[:] == expected
            assert files.pread(direct, LENGTH, 0) == expected


def test_direct_io_with_memory_of_the_file_itself(data):
    with files.mapped(data, LENGTH) as memory, files.opened(data) as direct:
        view = memoryview(memory)
        assert os.preadv(direct, [view[4096:8192]], 65536) == 4096
        assert memory[4096:8192] == memory[65536 : 65536 + 4096]
        assert os.pwritev(direct, [view[8192:12288]], 131072) == 4096
        assert memory[131072 : 131072 + 4096] == memory[8192:12288]
        view.release()


def test_direct_writes_while_a_mapping_is_written(data, device):
    length, page = 16 * BLOCK, BUSY * BLOCK
    stop = threading.Event()

    def keep_dirtying(memory):
        while not stop.is_set():
            memory[page] = (memory[page] + 1) & 255

    with files.mapped(data, LENGTH) as memory, files.opened(data) as direct:
        # Without read-ahead, only the page that is written is cached during direct writes.
        memory.madvise(mmap.MADV_RANDOM)
        writer = threading.Thread(target=keep_dirtying, args=(memory,))
        before = counters.total(device)
        requests = 0
        writer.start()
        try:
            # Repeats until a request takes the buffered path.
            while requests < 40 or counters.total(device) - before == requests:
                assert requests < 1000
                requests += 2
                expected = pattern(length, seed=requests)[:]
                assert os.pwritev(direct, [pattern(length, seed=requests)], 0) == length
                for seen in (memory, files.pread(direct, length, 0)):
                    assert seen[:page] == expected[:page]
                    assert seen[page + BLOCK : length] == expected[page + BLOCK :]
        finally:
            stop.set()
            writer.join()


# fio


BUFFERED = {
    "psync": {"ioengine": "psync"},
    "mmap": {"ioengine": "mmap"},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "splice": {"ioengine": "splice"},
}


@pytest.mark.parametrize("issuer", BUFFERED)
def test_every_issuer_verifies(issuer, data):
    options = {"direct": 0, "size": "1M", "fsync": 32, "invalidate": 1, "verify": "crc32c"}
    job = fio.run(data, rw="randwrite", **options, **BUFFERED[issuer])
    assert job["error"] == 0
    assert job["read"]["total_ios"] == 256


@pytest.mark.parametrize("issuer", ["psync", "mmap", "io_uring"])
def test_sizes_that_are_not_whole_blocks(issuer, data):
    sizes = {"bsrange": "100-20000", "bs_unaligned": 1, "size": "1M"}
    job = fio.run(data, direct=0, rw="write", verify="crc32c", **sizes, **BUFFERED[issuer])
    assert job["error"] == 0


def test_verified_directly(data):
    options = {"rw": "randwrite", "size": "1M", "verify": "crc32c", "ioengine": "psync"}
    assert fio.run(data, direct=0, do_verify=0, **options)["error"] == 0
    job = fio.run(data, direct=1, verify_only=1, **options)
    assert job["error"] == 0


# Other ways to read and write


def test_uncached_writes(data, device):
    with files.buffered(data) as fd:
        memory = pattern(65536, seed=1)
        try:
            assert os.pwritev(fd, [memory], 0, RWF_DONTCACHE) == 65536
        except OSError as error:
            pytest.skip(f"RWF_DONTCACHE: {error}")
        os.fsync(fd)
        back = aligned(65536)
        assert os.preadv(fd, [back], 0, RWF_DONTCACHE) == 65536
        assert back[:] == memory[:] == filesystems.on_device(device, 65536)


def test_splice(data, device):
    with files.buffered(data) as fd:
        receive, send = os.pipe()
        assert os.splice(fd, send, 10000, offset_src=100) == 10000
        assert os.splice(receive, fd, 10000, offset_dst=LENGTH // 2 + 1) == 10000
        os.close(receive)
        os.close(send)
        os.fsync(fd)
    expected = bytearray(pattern(LENGTH))
    expected[LENGTH // 2 + 1 : LENGTH // 2 + 10001] = expected[100:10100]
    assert filesystems.on_device(device, LENGTH) == expected


# The end of the file


def test_end_of_file(data):
    size = data.stat().st_size
    with files.buffered(data) as fd:
        assert os.pwrite(fd, b"x" * 100, size - 10) == 10
        assert os.pread(fd, 100, size - 10) == b"x" * 10
        assert os.pread(fd, 100, size) == b""
        for offset in (size, size + 1, 1 << 62):
            with pytest.raises(OSError, match="No space left"):
                os.pwrite(fd, b"x", offset)
        assert os.pwrite(fd, b"", size) == 0
    with (
        files.opened(data, os.O_WRONLY | os.O_APPEND) as fd,
        pytest.raises(OSError, match="No space left"),
    ):
        os.write(fd, b"x")
    assert data.stat().st_size == size


def test_a_file_that_ends_within_a_page(null_disk):
    device = null_disk(memory_backed=1, size=16, blocksize=512)
    tools.mkfs_diofs(device)
    end = (16 << 20) - 7 * 512
    head = aligned(512)
    with files.opened(device) as fd:
        head[:] = files.pread(fd, 512, 0)
        head[24:32] = end.to_bytes(8, "little")
        os.pwritev(fd, [head], 0)
    where = Path("/run/mnt-end")
    where.mkdir(exist_ok=True)
    system.run("mount", "-t", "diofs", device, where)
    try:
        data = where / "data"
        size = data.stat().st_size
        assert size == end - DATA_START
        with files.buffered(data) as fd, mmap.mmap(fd, 0) as memory:
            memory[size - 5 :] = b"12345"
            assert os.pwrite(fd, b"abc", size - 8) == 3
            assert os.pread(fd, 100, size - 8) == b"abc12345"
        with files.opened(data) as fd:
            assert files.pread(fd, 4096, size - 512)[-8:] == b"abc12345"
    finally:
        system.run("umount", where)
    # Nothing is written beyond the end.
    tail = filesystems.on_device(device, 8 * 512, size - 512)
    assert tail[504:512] == b"abc12345"
    assert not tail[512:].strip(b"\0")


# Without waiting


def test_nowait(null_disk, diofs):
    # Slow enough that a page is not up to date at once.
    device = null_disk(memory_backed=1, size=64, irqmode=2, completion_nsec=1_000_000_000)
    with files.buffered(diofs(device)) as fd:
        back = aligned(BLOCK)
        for offset in (0, LENGTH):
            with pytest.raises(BlockingIOError):
                os.preadv(fd, [back], offset, os.RWF_NOWAIT)
            # To write part of a block, the rest is read.
            with pytest.raises(BlockingIOError):
                os.pwritev(fd, [b"part"], offset + 65536 + 1, os.RWF_NOWAIT)
            assert os.preadv(fd, [back], offset) == BLOCK
            assert os.preadv(fd, [back], offset, os.RWF_NOWAIT) == BLOCK
            assert os.pwritev(fd, [b"part"], offset + 1, os.RWF_NOWAIT) == 4
            # A durable write has to wait for the device.
            with pytest.raises(BlockingIOError):
                os.pwritev(fd, [b"part"], offset + 1, os.RWF_NOWAIT | os.RWF_DSYNC)
            assert os.pread(fd, 6, offset) == b"\0part\0"
        os.fsync(fd)


# Beside direct writes in flight


def start_write(path: Path, number: int, byte: bytes) -> threading.Thread:
    """Starts a direct write of a block of 512 bytes, in a thread."""

    def write() -> None:
        memory = aligned(512)
        memory[:] = byte * 512
        with files.opened(path) as fd:
            assert os.pwritev(fd, [memory], number * 512) == 512

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def write_slowly(disk: Path, path: Path, number: int, byte: bytes) -> threading.Thread:
    """Starts such a write, and waits until DISK has it, which takes much longer to end it."""
    before = counters.disk(disk)["write"]
    thread = start_write(path, number, byte)
    system.wait_for(lambda: counters.disk(disk)["write"] > before)
    return thread


def test_a_buffered_write_of_another_block_in_the_page_is_no_error(null_disk, diofs):
    # The page is dirty when the direct write ends, and could not be dropped.
    disk = null_disk(
        memory_backed=1, size=64, blocksize=512, irqmode=2, completion_nsec=500_000_000
    )
    data = diofs(disk)
    with kernel.new_log_lines() as lines, files.buffered(data) as fd:
        done = counters.total(disk)
        direct = write_slowly(disk, data, 1, b"d")
        assert os.pwrite(fd, b"b" * 512, 0) == 512
        # The buffered write has waited.
        assert counters.total(disk) == done + 1
        direct.join()
        os.fsync(fd)
        assert os.pread(fd, 1024, 0) == b"b" * 512 + b"d" * 512
    assert not [line for line in lines if "dirtied" in line]


def test_a_buffered_write_that_must_not_sleep_beside_a_direct_write(null_disk, diofs):
    disk = null_disk(
        memory_backed=1, size=64, blocksize=512, irqmode=2, completion_nsec=500_000_000
    )
    data = diofs(disk)
    with files.buffered(data) as fd:

        def is_refused() -> bool:
            done = counters.total(disk)
            direct = write_slowly(disk, data, 1, b"d")
            try:
                assert os.pwritev(fd, [b"b" * 512], 4096, os.RWF_NOWAIT) == 512
                # This task has paused until the direct write had ended.
                assert counters.total(disk) > done
                # Not beside the next one, which the disk counts
                os.fsync(fd)
            except BlockingIOError:
                return True
            finally:
                direct.join()
            return False

        system.wait_for(is_refused)
        assert os.pwritev(fd, [b"b" * 512], 4096, os.RWF_NOWAIT) == 512


@pytest.fixture
def slow_writes(null_disk):
    """Makes a device whose reads are fast and writes slow: a page can be read while a direct write
    is in flight."""
    if kernel.IS_DEBUG:
        pytest.skip("has no device mapper")
    disk = null_disk(memory_backed=1, size=64, blocksize=512)
    options = (0, 0, disk, 0, 500)
    with devices.mapped("slow-writes", "dm-delay", "delay", disk, *options) as device:
        yield device


def test_a_buffered_write_does_not_hide_a_direct_write(slow_writes):
    with filesystems.diofs(slow_writes) as data, files.buffered(data) as fd:
        direct = start_write(data, 1, b"d")
        # Device mapper keeps the write, so that the disk does not count it.
        time.sleep(0.1)
        assert os.pread(fd, 1, 0) == b"\0"
        assert os.pwrite(fd, b"b", 0) == 1
        direct.join()
        assert os.pread(fd, 512, 512) == b"d" * 512
        os.fsync(fd)


def test_a_direct_write_that_fails_in_part_leaves_no_stale_page(slow_writes):
    # Its first bio is written, and its second one is never submitted.
    memory = filled(b"d" * 4096)
    pieces = [(address(memory), 4096), (NOWHERE, 4096)]
    with (
        filesystems.diofs(slow_writes) as data,
        files.buffered(data) as cached,
        files.opened(data) as fd,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        direct = pool.submit(pwritev2, fd, pieces)
        time.sleep(0.1)
        # The new data only if this task has paused until it was written
        assert os.pread(cached, 512, 0) in (bytes(512), b"d" * 512)
        assert direct.result() == "EFAULT"
        assert files.pread(fd, 512, 0) == b"d" * 512
        assert os.pread(cached, 512, 0) == b"d" * 512
