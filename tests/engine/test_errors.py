# SPDX-License-Identifier: GPL-2.0
"""Drives that fail, and drives that are unplugged."""

import errno
import os
import subprocess

import pytest

from guest import counters, devices, files, filesystems, fio, system
from guest.filesystems import DATA_START
from guest.memory import pattern

# The errno for an NVMe drive's medium error
MEDIUM_ERROR = "No data available"

# The position in the file at which the drives "bad-read" and "bad-write" fail
BAD = 65536 * 512 - DATA_START

ENGINE = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 4},
    "io_uring": {"ioengine": "io_uring", "iodepth": 4},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 4, "hipri": 1},
}


@pytest.mark.parametrize("serial", ["bad-read", "bad-write"])
def test_one_bad_sector(serial, diofs):
    device = devices.drive(serial)
    transfer = os.preadv if serial == "bad-read" else os.pwritev
    with files.opened(diofs(device)) as fd:
        for blocks in (1, 512):
            memory = pattern(blocks * 4096)
            # The bad block is the first of the request, in the middle, or the last.
            for before in {0, blocks // 2, blocks - 1}:
                with pytest.raises(OSError, match=MEDIUM_ERROR):
                    transfer(fd, [memory], BAD - before * 4096)
            # The blocks beside it are accessible.
            assert transfer(fd, [memory], BAD - blocks * 4096) == blocks * 4096
            assert transfer(fd, [memory], BAD + 4096) == blocks * 4096


@pytest.mark.parametrize("issuer", ENGINE)
@pytest.mark.parametrize(("serial", "rw"), [("bad-read", "randread"), ("bad-write", "randwrite")])
def test_every_issuer_gets_the_error(issuer, serial, rw, diofs):
    device = devices.drive(serial)
    area = {"offset": BAD - 16 * 4096, "size": 32 * 4096}
    job = fio.run(
        diofs(device),
        rw=rw,
        ignore_error=f"{errno.ENODATA},{errno.ENODATA}",
        **area,
        **ENGINE[issuer],
    )
    assert (job["total_err"], job["first_error"]) == (1, errno.ENODATA)
    routes = counters.routes(device)
    assert sum(routes.values()) == 32
    if issuer in ("libaio", "io_uring"):
        # Only the request that fails, unless its submitter completes it.
        assert routes["worker"] <= 1
    else:
        assert routes["worker"] == 0


def test_data_beside_the_error_is_right(diofs):
    with files.opened(diofs(devices.drive("bad-write"))) as fd:
        for block in range(-8, 9):
            memory = pattern(4096, seed=block + 8)
            if block:
                assert os.pwritev(fd, [memory], BAD + block * 4096) == 4096
        for block in range(-8, 9):
            if block:
                expected = pattern(4096, seed=block + 8)[:]
                assert files.pread(fd, 4096, BAD + block * 4096) == expected


@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
def test_bad_sectors_of_a_null_disk(issuer, null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, irqmode=2, poll_queues=1)
    data = diofs(device)
    devices.set_bad(device, DATA_START + (1 << 20))
    area = {"offset": (1 << 20) - 16 * 4096, "size": 32 * 4096}
    for rw in ("randread", "randwrite"):
        job = fio.run(data, rw=rw, continue_on_error="io", **area, **ENGINE[issuer])
        assert (job["total_err"], job["first_error"]) == (1, errno.EIO)
    devices.set_good(device, DATA_START + (1 << 20))
    job = fio.run(data, rw="randwrite", verify="crc32c", **area, **ENGINE[issuer])
    assert job["error"] == 0


@pytest.mark.parametrize("issuer", ["psync", "libaio", "io_uring", "io_uring-polled"])
def test_drive_pulled_out_under_load(issuer):
    spare = devices.spare_drive()
    options = {"rw": "randrw", "size": "16M", "time_based": 1, "runtime": 300, **ENGINE[issuer]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        filesystems.diofs(spare) as data,
        system.running(fio.command(data, **options), **quiet) as load,
    ):
        system.wait_for(lambda: counters.total(spare) > 200)
        devices.pull_out_spare()
        # fio exits at its first error, unless a request hangs.
        assert load.wait(timeout=120) != 0
        with files.opened(data) as fd:
            for attempt in (
                lambda: files.pread(fd, 4096, 0),
                lambda: os.pwritev(fd, [pattern(4096)], 0),
                lambda: os.pwritev(fd, [pattern(4 << 20)], 0),
            ):
                with pytest.raises(OSError, match=r"Input/output error|No such device"):
                    attempt()
    system.wait_for(lambda: not devices.has_drive("spare"))
