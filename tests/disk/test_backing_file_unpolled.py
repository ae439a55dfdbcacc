# SPDX-License-Identifier: GPL-2.0
"""Disks in files that are polled, while nothing polls, or with more I/O than the drive can take."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import counters, devices, file_disks, files, fio, kernel, system
from guest.file_disks import SIZE, backing
from guest.memory import pattern
from guest.polled import BELOW, BLOCK, MIB, POLLED, endless, grown, polled_disk, run

# In s. Far less than devices.IO_TIMEOUT, after which the device below ends what is not polled.
SOON = 8


@pytest.fixture
def drive() -> Path:
    """An NVMe drive with a queue for polled I/O."""
    return devices.drive("scratch")


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """What is in the with statement must not take long."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < SOON


def stop(load: subprocess.Popen, disk: Path) -> None:
    """Stops a job that reads, in the middle of its I/O."""
    before = counters.disk(disk)["read"]
    system.wait_for(lambda: counters.disk(disk)["read"] > before + 100)
    load.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("kind", ["block device", "xfs", "ext4"])
def test_a_stopped_poller(kind, null_disk):
    """I/O in flight ends nevertheless, and not by the timeout of the device below."""
    below = null_disk("belowdisk", **BELOW)
    with backing(kind, below) as path, polled_disk(path) as disk:
        fio.lay_out(disk, SIZE)
        job = endless(disk, rw="randread", iodepth=8)
        with system.running(job, stdout=subprocess.DEVNULL) as load:
            for _ in range(5):
                stop(load, disk)
                system.wait_for(lambda: devices.requests(disk) == 0, SOON)
                load.send_signal(signal.SIGCONT)
        assert counters.disk(disk)["error"] == counters.disk(below)["timeout"] == 0


@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_power_off_with_a_stopped_poller(kind, null_disk):
    below = null_disk("belowdisk", **BELOW)
    with backing(kind, below) as path:
        for _ in range(3):
            with polled_disk(path) as disk:
                fio.lay_out(disk, SIZE)
                # Reads of a disk that is off would be taken for the end of a file.
                job = endless(disk, rw="randrw", iodepth=8)
                with system.running(job, stdout=subprocess.DEVNULL) as load:
                    stop(load, disk)
                    with soon():
                        files.write(devices.CONFIGFS / disk.name / "power", 0)
                    load.send_signal(signal.SIGCONT)
                    assert load.wait(60)
        assert counters.disk(below)["timeout"] == 0


def test_a_killed_poller_that_was_moved(null_disk):
    """What it has issued on one CPU, it polls for on another one."""
    below = null_disk("belowdisk", **(BELOW | {"submit_queues": 2, "poll_queues": 2}))
    with backing("xfs", below) as path, polled_disk(path, poll_queues=2) as disk:
        fio.lay_out(disk, SIZE)
        for _ in range(3):
            job = endless(disk, rw="randread", iodepth=32, iodepth_batch_submit=16)
            with system.running(job, stdout=subprocess.DEVNULL) as load:
                before = counters.disk(disk)["read"]
                system.wait_for(lambda before=before: counters.disk(disk)["read"] > before)
                for cpu in itertools.islice(itertools.cycle(range(2)), 20):
                    for thread in Path(f"/proc/{load.pid}/task").iterdir():
                        os.sched_setaffinity(int(thread.name), {cpu})
                load.kill()
            system.wait_for(lambda: devices.requests(disk) == 0, SOON)
        assert counters.disk(below)["timeout"] == 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one CPU")
def test_a_cpu_goes_offline_with_a_stopped_poller(null_disk):
    """The hardware queue that it has below waits for what is in flight."""
    below = null_disk("belowdisk", **(BELOW | {"submit_queues": 2, "poll_queues": 2}))
    online = Path("/sys/devices/system/cpu/cpu1/online")
    with backing("xfs", below) as path, polled_disk(path, poll_queues=2) as disk:
        with fio.verifying(disk, iodepth=8, cpus_allowed=1, **POLLED) as load:
            for _ in range(3):
                stop(load, disk)
                try:
                    with soon():
                        files.write(online, 0)
                finally:
                    files.write(online, 1)
                load.send_signal(signal.SIGCONT)
            fio.stop_verifying(load)
        assert counters.disk(disk)["error"] == counters.disk(below)["timeout"] == 0


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_writes_of_parts_of_blocks_with_a_stopped_poller(kind, null_disk):
    """They wait for all transfers of the file, among which are those that nothing polls."""
    below = null_disk("belowdisk", **BELOW)
    content = pattern(SIZE, 1)
    with backing(kind, below) as path, polled_disk(path, blocksize=devices.SECTOR) as disk:
        fio.lay_out(disk, SIZE // 2)
        job = endless(disk, rw="randread", iodepth=8, size=SIZE // 2)
        with system.running(job, stdout=subprocess.DEVNULL) as load, files.opened(disk) as fd:
            for number in range(kernel.fewer(8, 4)):
                stop(load, disk)
                # The first one of a block allocates it.
                at = SIZE // 2 + number * BLOCK // 2 + devices.SECTOR
                part = memoryview(content)[at : at + devices.SECTOR]
                with soon():
                    assert os.pwrite(fd, part, at) == devices.SECTOR
                load.send_signal(signal.SIGCONT)
                assert files.pread(fd, devices.SECTOR, at) == bytes(part)
                assert not any(files.pread(fd, devices.SECTOR, at - devices.SECTOR))
        with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
            assert files.pread(fd, SIZE // 2, 0) == bytes(pattern(SIZE // 2))
        assert counters.disk(disk)["error"] == counters.disk(below)["timeout"] == 0


@pytest.mark.parametrize("below_depth", [1, 2, 8])
@pytest.mark.parametrize("kind", ["block device", "xfs"])
def test_more_requests_than_below(kind, below_depth, null_disk):
    """Half of what the device below can take is polled, and nothing waits for that."""
    below = null_disk("belowdisk", hw_queue_depth=below_depth, **BELOW)
    with backing(kind, below) as path, polled_disk(path) as disk:
        fio.lay_out(disk, SIZE)
        job = {"rw": "randwrite", "iodepth": 32, "iodepth_batch_submit": 16, "size": MIB}
        # Reads and writes of block devices are not polled anyway that would wait for a request.
        grew = grown(disk, lambda: run(disk, **job))
        assert grew["polled"] > 0
        # Many more than those that update the time stamps
        assert grew["not_polled"] > grew["write"] // 8
        run(disk, **job, verify="crc32c", serialize_overlap=1)
        assert counters.disk(below)["timeout"] == 0


def test_a_ring_with_the_drive_below(null_disk):
    """The list of the task has requests of that drive, which cannot be frozen before they end."""
    below = null_disk("belowdisk", **BELOW)
    with backing("xfs", below) as path, polled_disk(path) as disk:
        fio.lay_out(path, SIZE)
        # An odd number, so that each of the two is the first in the list at times.
        batch = dict.fromkeys(("submit", "complete_min", "complete_max"), 5)
        options = {f"iodepth_batch_{name}": number for name, number in batch.items()}
        job = endless(f"{disk}:{below}", rw="randread", iodepth=16, **options)
        with system.running(job, stdout=subprocess.DEVNULL) as load:
            system.wait_for(lambda: counters.disk(disk)["not_polled"] > 100)
            attribute = Path("/sys/block") / below.name / "queue/nr_requests"
            for _ in range(kernel.fewer(40)):
                for number in (48, 64):
                    with soon():
                        files.write(attribute, number)
            before = counters.disk(disk)["read"]
            system.wait_for(lambda: counters.disk(disk)["read"] > before + 100)
            assert load.poll() is None


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_discards_between_polled_reads(kind, drive):
    """They wait for transfers of the file, for which the task polls only later."""
    with backing(kind, drive) as path:
        file_disks.sparse(path)
        with polled_disk(path, discard=1) as disk:
            fio.lay_out(disk, SIZE)
            job = {"rw": "randtrimwrite", "iodepth": 8, "size": MIB}
            assert fio.run(disk, **POLLED, **job)["error"] == 0
            # What is beyond is as it was.
            with files.opened(disk, os.O_RDONLY | os.O_DIRECT) as fd:
                rest = files.pread(fd, SIZE - MIB, MIB)
            assert rest == bytes(memoryview(pattern(SIZE))[MIB:])
