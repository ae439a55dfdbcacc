# SPDX-License-Identifier: GPL-2.0
"""Effect of patches/ on file systems that use iomap, on kernels with them and without."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import devices, files, filesystems, fio, kernel, system, tracing
from guest.filesystems import BLOCK

SELFTEST = system.SAMPLES / "dio_completion_test"

SIZE = 16 << 20
CACHED_AT = 12 << 20
WRITTEN = 512 << 10
COUNT = WRITTEN // BLOCK
ROUNDS = int(os.environ.get("ROUNDS", kernel.fewer(1000)))

ISSUERS = {
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
}

needs_patches = pytest.mark.skipif(not kernel.HAS_DIO_COMPLETE, reason="needs patches/")


@pytest.fixture(params=["xfs", "ext4"])
def directory(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Makes and mounts a file system."""
    if system.run("modprobe", "--dry-run", request.param, check=False).returncode:
        pytest.skip(f"the kernel has no {request.param}")
    with filesystems.mainline(request.param, devices.drive("scratch")) as where:
        yield where


@pytest.fixture
def data(directory: Path) -> Path:
    """Makes a file that has been written, with pages in the page cache."""
    path = directory / "data"
    fio.lay_out(path, SIZE)
    files.read_into_cache(path, CACHED_AT)
    return path


@contextlib.contextmanager
def completions_by_kworkers() -> Iterator[list[str]]:
    """Collects the work items that complete direct I/O for iomap."""
    found: list[str] = []
    with tracing.trace_lines("workqueue/workqueue_execute_start") as lines:
        yield found
    found += [line for line in lines if "iomap_dio_complete_work" in line]


def overwrite(path: Path, **options: object) -> dict:
    job = fio.run(path, rw="randwrite", size=WRITTEN, **options)
    assert job["error"] == 0
    assert job["write"]["total_ios"] == COUNT
    return job


@pytest.mark.parametrize("issuer", ISSUERS)
def test_completion_of_writes_of_a_file_with_cached_pages(issuer, data):
    with completions_by_kworkers() as work:
        job = overwrite(data, **ISSUERS[issuer])
    print(f"{len(work) / COUNT} by kworkers, {job['ctx'] / COUNT} context switches a write")
    if kernel.HAS_DIO_COMPLETE:
        assert len(work) == 0
    else:
        # The submitter completes writes that end during submission.
        assert len(work) > COUNT * 0.1


@pytest.mark.parametrize("issuer", ISSUERS)
def test_data_is_right(issuer, data):
    area = {"size": SIZE // 4, "bssplit": "4k/70:64k/30"}
    job = fio.run(data, rw="randwrite", verify="crc32c", **area, **ISSUERS[issuer])
    assert job["error"] == 0
    # The page cache agrees with the device.
    with files.opened(data) as direct, files.opened(data, os.O_RDONLY) as buffered:
        assert os.pread(buffered, SIZE // 4, 0) == files.pread(direct, SIZE // 4, 0)


# Jobs that write to an area of their own, and verify it
WRITERS = {
    "mapped": {"ioengine": "mmap", "direct": 0},
    "buffered": {"ioengine": "psync", "direct": 0},
    "psync": {"ioengine": "psync"},
    "iopoll": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8, "bssplit": "4k/80:64k/20"},
    "libaio": {"ioengine": "libaio", "iodepth": 8, "bssplit": "4k/80:64k/20"},
}
# Jobs that read all of the file at the same time, so that pages of every area are cached
READERS = {
    "buffered": {"ioengine": "psync", "direct": 0},
    "mapped": {"ioengine": "mmap", "direct": 0},
}
AREA = 1 << 20
LOOPS = int(os.environ.get("LOOPS", "2"))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    options = {"rw": "randread", "size": SIZE, "rate_iops": 200, "time_based": 1, "runtime": "1h"}
    commands = [fio.command(path, **(options | reader)) for reader in READERS.values()]
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            for command in commands
        ]
        try:
            yield
            assert [reader.poll() for reader in readers] == [None] * len(readers)
        finally:
            for reader in readers:
                reader.terminate()


def test_direct_and_buffered_and_mapped_writers_at_once(data):
    with contextlib.ExitStack() as stack:
        stack.enter_context(reading(data))
        writers = {}
        for index, (name, options) in enumerate(WRITERS.items()):
            command = fio.command(
                data,
                rw="randwrite",
                offset=index * AREA,
                size=AREA,
                loops=LOOPS,
                verify="crc32c",
                verify_fatal=1,
                **options,
            )
            writers[name] = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        for name, writer in writers.items():
            job = fio.job_output(writer.communicate()[0].decode())["jobs"][0]
            assert job["error"] == 0, name
            assert job["read"]["io_bytes"] == job["write"]["io_bytes"] == LOOPS * AREA, name
    with files.opened(data) as direct, files.opened(data, os.O_RDONLY) as buffered:
        os.fsync(buffered)
        assert os.pread(buffered, SIZE, 0) == files.pread(direct, SIZE, 0)


@needs_patches
def test_selftest(directory):
    result = system.run("env", "-C", directory, f"DIO_ROUNDS={ROUNDS}", SELFTEST)
    print(result.stdout)
    assert "# PASSED" in result.stdout


@needs_patches
@pytest.mark.parametrize("wait", ["fallocate", "ftruncate", "freeze"])
def test_a_task_that_waits_for_its_own_writes(wait, data):
    option = [] if wait == "fallocate" else [f"--{wait}"]
    command = [system.SAMPLES / "deadlock", f"--rounds={ROUNDS}", "--depth=4", "--dirty-cache"]
    system.run(*command, *option, data)
