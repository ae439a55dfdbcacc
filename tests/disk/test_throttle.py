# SPDX-License-Identifier: GPL-2.0
"""The limit of the bytes that the null disk transfers in a second."""

import subprocess
import time
from pathlib import Path

import pytest

from guest import counters, devices, files, fio, system

MIB = 1 << 20
# What is transferred by a job, and how long that takes at least
SIZE = 4 * MIB
RATE = 4
SECONDS = SIZE / MIB / RATE

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 32},
    "polled": {"ioengine": "io_uring", "hipri": 1, "iodepth": 32},
}


def transfer(device, **options: object) -> float:
    """Writes, reads and verifies SIZE bytes. Returns how long that took, in s."""
    begin = time.monotonic()
    job = fio.run(device, rw="randwrite", verify="crc32c", size=SIZE, **options)
    assert job["error"] == 0
    return time.monotonic() - begin


@pytest.mark.parametrize("irqmode", [0, 1, 2])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_a_limit(issuer, irqmode, null_disk):
    disk = {"memory_backed": 1, "size": 16, "irqmode": irqmode, "poll_queues": 1}
    without = transfer(null_disk("another", **disk), bs="64k", **ISSUERS[issuer])
    device = null_disk(**disk, mbps=RATE)
    took = transfer(device, bs="64k", **ISSUERS[issuer])
    assert took >= 2 * SECONDS
    # The medium is not idle while there are requests; the rest is the time of fio, which varies.
    assert took < 2 * SECONDS * 4 + 3 * without
    assert counters.disk(device)["timeout"] == 0


def test_requests_that_come_together(null_disk):
    """Without an I/O scheduler, the disk gets the requests of a plug as a list. It leaves those in
    it for which it is too early, and the block layer issues them again."""
    device = null_disk(memory_backed=1, size=16, mbps=RATE, no_sched=1)
    together = {"iodepth": 32, "iodepth_batch_submit": 32, "iodepth_batch_complete_min": 32}
    took = transfer(device, bs="64k", ioengine="libaio", **together)
    assert took >= 2 * SECONDS
    assert counters.disk(device)["timeout"] == 0


def test_requests_that_are_larger_than_the_limit(null_disk):
    device = null_disk(memory_backed=1, size=16, mbps=1)
    with files.opened(device) as fd:
        begin = time.monotonic()
        assert len(files.pread(fd, 2 * MIB, 0)) == 2 * MIB
        assert 2 <= time.monotonic() - begin < 10


def test_what_transfers_nothing_is_not_limited(null_disk):
    device = null_disk(memory_backed=1, size=1024, discard=1, mbps=1)
    begin = time.monotonic()
    system.run("blkdiscard", "--force", device)
    assert time.monotonic() - begin < 60


def test_power_off_does_not_wait_for_what_is_queued(null_disk):
    """There is more in flight and in the block layer than is transferred in a minute."""
    device = null_disk(size=512, mbps=1, submit_queues=2, hw_queue_depth=512)
    load = subprocess.Popen(
        fio.command(device, rw="read", bs="1m", size="512m", ioengine="libaio", iodepth=200),
        stdout=subprocess.DEVNULL,
    )
    system.wait_for(lambda: devices.requests(device) > 100)
    begin = time.monotonic()
    files.write(devices.CONFIGFS / device.name / "power", 0)
    assert time.monotonic() - begin < 60
    load.wait(60)


def test_the_size_of_requests(null_disk):
    """A request takes 10 s at most."""
    device = null_disk(size=16, mbps=1)
    limit = Path("/sys/block") / device.name / "queue/max_hw_sectors_kb"
    assert files.read(limit) == str(10 << 10)
