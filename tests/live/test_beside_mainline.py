# SPDX-License-Identifier: GPL-2.0
"""The same job on attached file systems and by the kernel's own code, on the same device and in the
same boot. See tests/engine/test_comparison.py for what ratios mean under emulation."""

import os
from pathlib import Path

import pytest

from guest import devices, files, filesystems, fio, live

pytestmark = pytest.mark.skipif(
    "COMPARE" not in os.environ, reason="only for make compare, on an idle machine"
)

SIZE = 16 << 20
CACHED_AT = 12 << 20
# Other load makes a turn slower and never faster, so that the best one counts.
TURNS = 4
FILES_TURNS = 2

FILES = 64
FILE_SIZE = 1 << 20
DEPTH = 16


def polled(data: Path, depth: int, cached_at: int | None) -> float:
    """Overwrites blocks at random; returns IOPS."""
    files.set_cache(data, cached_at)
    options = {"rw": "randwrite", "ioengine": "io_uring", "hipri": 1, "iodepth": depth}
    job = fio.run(data, **options, size="8M", io_size="2M" if depth == 1 else "64M")
    assert job["error"] == 0
    return job["write"]["iops"]


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
@pytest.mark.parametrize(("depth", "times_mainline"), [(1, 4), (16, 2)])
def test_polled_overwrites_of_a_file_with_cached_pages(
    kind, depth, times_mainline, record_property
):
    best = {"kernel": 0.0, "kernel, uncached": 0.0, "attached": 0.0, "attached, uncached": 0.0}
    with filesystems.mainline(kind, devices.drive("scratch")) as mount:
        data = mount / "data"
        fio.lay_out(data, SIZE)

        def measure(name: str) -> None:
            best[name] = max(best[name], polled(data, depth, CACHED_AT))
            uncached = f"{name}, uncached"
            best[uncached] = max(best[uncached], polled(data, depth, None))

        for _ in range(TURNS):
            measure("kernel")
            with live.attached(mount):
                measure("attached")
    print(best)
    record_property("iops", best)
    assert best["attached"] >= times_mainline * best["kernel"]


def make_files(mount: Path) -> list[Path]:
    """Makes the files anew, with blocks that have been allocated and not written to."""
    paths = [mount / f"data{number}" for number in range(FILES)]
    for path in paths:
        path.unlink(missing_ok=True)
        with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
            os.posix_fallocate(fd, 0, FILE_SIZE)
    # What is left to do does not fall into the measurement.
    os.sync()
    return paths


def write_files(paths: list[Path]) -> float:
    """Writes to all files from begin to end, each in a task; returns IOPS."""
    common = {"rw": "write", "size": FILE_SIZE, "ioengine": "io_uring", "iodepth": DEPTH}
    jobs = fio.run_jobs(common, {path.name: {"filename": path} for path in paths}).values()
    writes = sum(job["write"]["total_ios"] for job in jobs)
    assert writes == FILES * FILE_SIZE // 4096
    # From when the first job starts until the last one ends, in ms. Not all run at the same time,
    # so the sum of their rates would be too large.
    begin = min(job["job_start"] for job in jobs)
    end = max(job["job_start"] + job["job_runtime"] for job in jobs)
    return 1000 * writes / (end - begin)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_first_writes_to_many_files(kind, null_disk, record_property):
    disk = null_disk(memory_backed=1, size=512, irqmode=2, submit_queues=os.cpu_count())
    best = {"kernel": 0.0, "attached": 0.0, "attached, overwriting": 0.0}
    with filesystems.mainline(kind, disk) as mount:
        for _ in range(FILES_TURNS):
            best["kernel"] = max(best["kernel"], write_files(make_files(mount)))
            paths = make_files(mount)
            with live.attached(mount):
                best["attached"] = max(best["attached"], write_files(paths))
                routes = live.routes()
                again = write_files(paths)
                best["attached, overwriting"] = max(best["attached, overwriting"], again)
                assert live.passed() == {}
    print(best, routes)
    record_property("iops", best)
    assert routes["worker"] > FILES * FILE_SIZE // 4096 // 2
    assert best["attached"] >= 1.5 * best["kernel"]
