# SPDX-License-Identifier: GPL-2.0
"""Data is read as it was written, for every issuer."""

import mmap
import os

import pytest

from guest import counters, files, filesystems, fio, kernel, system
from guest.filesystems import BLOCK, DATA_START
from guest.memory import aligned, pattern

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "vectored": {"ioengine": "pvsync2"},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "io_uring-registered": {
        "ioengine": "io_uring",
        "iodepth": 8,
        "fixedbufs": 1,
        "registerfiles": 1,
    },
    "io_uring-sqpoll": {"ioengine": "io_uring", "iodepth": 8, "sqthread_poll": 1},
    "io_uring-forced-async": {"ioengine": "io_uring", "iodepth": 8, "force_async": 1},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
    # The plug delays the start of requests until all of a batch are submitted.
    "io_uring-polled-batch": {
        "ioengine": "io_uring",
        "iodepth": 8,
        "iodepth_batch_submit": 8,
        "hipri": 1,
    },
    "io_uring-polled-registered": {
        "ioengine": "io_uring",
        "iodepth": 8,
        "hipri": 1,
        "fixedbufs": 1,
    },
}

# How many blocks fio reads or writes by default
COUNT = fio.SIZE // BLOCK

# The route of all completions, for issuers that have only one
EXPECTED_ROUTE = {"psync": "waiter", "vectored": "waiter", "io_uring-polled": "reaper"}


@pytest.mark.parametrize("issuer", ISSUERS)
def test_every_issuer_verifies(issuer, device, diofs):
    data = diofs(device)
    job = fio.run(data, rw="randwrite", verify="crc32c", **ISSUERS[issuer])
    assert job["error"] == 0
    assert job["read"]["total_ios"] == job["write"]["total_ios"] == COUNT
    routes = counters.routes(device)
    assert sum(routes.values()) == 2 * COUNT
    assert routes["worker"] == 0
    if issuer in EXPECTED_ROUTE:
        assert routes[EXPECTED_ROUTE[issuer]] == 2 * COUNT


@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
def test_large_blocks_of_any_size(issuer, device, diofs):
    sizes = {
        "bsrange": "512-3M",
        "blocksize_unaligned": 0,
        "size": kernel.fewer(24 << 20),
    }
    job = fio.run(diofs(device), rw="randwrite", verify="crc32c", **sizes, **ISSUERS[issuer])
    assert job["error"] == 0


@pytest.mark.parametrize("issuer", ["libaio", "io_uring-polled"])
def test_several_at_a_time(issuer, device, diofs):
    jobs = {"numjobs": 4, "offset_increment": "4M", "size": "1M", "group_reporting": 1}
    job = fio.run(diofs(device), rw="randwrite", verify="crc32c", **jobs, **ISSUERS[issuer])
    assert job["error"] == 0
    assert job["read"]["total_ios"] == 1024


def test_data_lies_where_it_should(device):
    # The device is unmounted, because some kernels refuse writes to mounted devices.
    places = ((0, 4096), (1 << 20, 3 << 20), (8192, 512))
    with filesystems.diofs(device) as data, files.opened(data) as fd:
        for offset, length in places:
            assert os.pwritev(fd, [pattern(length, seed=offset)], offset) == length
    with files.opened(device) as raw:
        for offset, length in reversed(places):
            expected = pattern(length, seed=offset)[:]
            assert files.pread(raw, length, DATA_START + offset) == expected
            memory = pattern(length, seed=offset + 1)
            assert os.pwritev(raw, [memory], DATA_START + offset) == length
    # Making a file system does not change the data.
    with filesystems.diofs(device) as data, files.opened(data) as fd:
        for offset, length in places:
            assert files.pread(fd, length, offset) == pattern(length, seed=offset + 1)[:]


def test_scattered_memory(device, diofs):
    # More pieces than fit into a bio, each smaller than a page.
    pieces = [pattern(512, seed=piece) for piece in range(600)]
    with files.opened(diofs(device)) as fd:
        assert os.pwritev(fd, pieces, 0) == 600 * 512
        back = [aligned(512) for _ in pieces]
        assert os.preadv(fd, back, 0) == 600 * 512
        assert [piece[:] for piece in back] == [piece[:] for piece in pieces]


def test_memory_that_is_mapped_from_a_file(device, diofs, tmp_path):
    # Pages of another file's page cache, whose writeback may clean them during the read.
    path = tmp_path / "mapped"
    path.write_bytes(bytes(1 << 20))
    data = diofs(device)
    with files.opened(data) as fd, path.open("r+b") as file:
        assert os.pwritev(fd, [pattern(1 << 20)], 0) == 1 << 20
        with mmap.mmap(file.fileno(), 0) as memory:
            assert os.preadv(fd, [memory], 0) == 1 << 20
            memory.flush()
    assert path.read_bytes() == pattern(1 << 20)[:]


def test_end_of_file(device, diofs):
    data = diofs(device)
    size = data.stat().st_size
    with files.opened(data) as fd:
        assert os.pwritev(fd, [pattern(4096)], size - 4096) == 4096
        assert files.pread(fd, 8192, size - 4096) == pattern(4096)[:]
        assert files.pread(fd, 4096, size) == b""
        assert files.pread(fd, 4096, size + 4096) == b""
        # A write across the end is shortened.
        assert os.pwritev(fd, [pattern(8192)], size - 4096) == 4096
        with pytest.raises(OSError, match="No space left"):
            os.pwritev(fd, [pattern(4096)], size)


def test_splice_writes_pages_as_they_are(device, diofs, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(pattern(64 * 1024)[:])
    data = diofs(device)
    with files.opened(data) as fd, files.opened(source, os.O_RDONLY) as file:
        receive, send = os.pipe()
        assert os.splice(file, send, 64 * 1024) == 64 * 1024
        assert os.splice(receive, fd, 64 * 1024, offset_dst=8192) == 64 * 1024
        os.close(receive)
        os.close(send)
        assert files.pread(fd, 64 * 1024, 8192) == pattern(64 * 1024)[:]


def test_nowait(device, diofs):
    with files.opened(diofs(device)) as fd:
        memory = pattern(4096)
        assert os.pwritev(fd, [memory], 0, os.RWF_NOWAIT) == 4096
        back = aligned(4096)
        assert os.preadv(fd, [back], 0, os.RWF_NOWAIT) == 4096
        assert back[:] == memory[:]
        # A read of more than one bio might have to wait.
        with pytest.raises(BlockingIOError):
            os.preadv(fd, [aligned(512) for _ in range(600)], 0, os.RWF_NOWAIT)


def test_counters_start_again_with_the_mount(device, diofs):
    with filesystems.diofs(device) as data, files.opened(data) as fd:
        os.pwritev(fd, [pattern(4096)], 0)
        assert counters.total(device) == 1
    assert not (counters.diofs_directory(device)).exists()
    diofs(device)
    assert counters.total(device) == 0


def test_times_are_kept_of_writes_and_not_of_reads(device, diofs):
    data = diofs(device)
    before = data.stat()
    files.wait_for_tick(before)
    with files.opened(data) as fd:
        os.pwritev(fd, [pattern(4096)], 0)
        files.pread(fd, 4096, 0)
    files.read_into_cache(data, 0)
    assert data.stat().st_mtime_ns > before.st_mtime_ns
    assert data.stat().st_atime_ns == before.st_atime_ns


@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
@pytest.mark.parametrize(
    ("write_cache", "fua", "counted"),
    [(0, 0, set()), (1, 1, {"fua"}), (1, 0, {"flush"})],
    ids=["no-cache", "fua", "cache"],
)
def test_durable_writes(issuer, write_cache, fua, counted, null_disk, diofs):
    device = null_disk(
        memory_backed=1, size=64, irqmode=2, poll_queues=1, write_cache=write_cache, fua=fua
    )
    data = diofs(device)
    before = counters.disk(device)
    job = fio.run(
        data, rw="randwrite", sync="dsync", size="256k", verify="crc32c", **ISSUERS[issuer]
    )
    assert job["error"] == 0
    assert {"flush", "fua"} & counters.grown(counters.disk(device), before).keys() == counted


def test_fsync_flushes(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    with files.opened(diofs(device)) as fd:
        before = counters.disk(device)["flush"]
        os.fsync(fd)
        assert counters.disk(device)["flush"] == before + 1


def test_syncfs_flushes(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    data = diofs(device)
    before = counters.disk(device)["flush"]
    system.run("sync", "--file-system", data.parent)
    assert counters.disk(device)["flush"] > before


def test_synchronous_mounts_flush(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    with files.opened(diofs(device, "-o", "sync")) as fd:
        before = counters.disk(device)["flush"]
        os.pwritev(fd, [pattern(4096)], 0)
        assert counters.disk(device)["flush"] == before + 1
