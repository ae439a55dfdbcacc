# SPDX-License-Identifier: GPL-2.0
"""Tracepoints: each step of a request is one event."""

import errno
import os

import pytest

from guest import devices, files, fio, tracing
from guest.filesystems import BLOCK, DATA_START
from guest.memory import pattern

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
}
STEPS = ["rnull_dio_submit", "rnull_dio_bio_end", "rnull_dio_complete"]

SIZE = 64 * 1024

# BLK_QC_T_NONE
NO_COOKIE = 0xFFFFFFFF


def by_request(events, data):
    """Returns the steps of each request of the file DATA, by position."""
    stat = data.stat()
    requests = {}
    for event in (event for event in events if event.name in STEPS):
        assert (event["dev"], event["ino"]) == (dev(stat.st_dev), stat.st_ino)
        requests.setdefault(event["pos"], []).append(event)
    return requests


def dev(number):
    return f"{os.major(number)}:{os.minor(number)}"


def sector(pos):
    """Returns the sector of the device for a position in the file."""
    return (DATA_START + pos) // 512


def check_steps(steps, pos, write, hipri):
    """Checks the events of a request for one block."""
    assert [step.name for step in steps] == STEPS
    submit, bio_end, complete = steps
    flags = submit["flags"].split("|")
    assert (submit["length"], submit["write"]) == (BLOCK, write)
    assert submit["needs"] == "Nothing"
    assert "DIRECT" in flags
    assert ("HIPRI" in flags) == hipri
    assert (bio_end["sector"], bio_end["error"]) == (sector(pos), 0)
    assert complete["ret"] == BLOCK


@pytest.mark.parametrize("issuer", ISSUERS)
def test_every_step_is_one_event(issuer, device, diofs):
    data = diofs(device)
    with tracing.traced() as events:
        job = fio.run(data, rw="write", verify="crc32c", size=SIZE, **ISSUERS[issuer])
    assert job["error"] == 0
    requests = by_request(events, data)
    assert sorted(requests) == list(range(0, SIZE, BLOCK))
    polled = issuer == "io_uring-polled"
    for pos, steps in requests.items():
        check_steps(steps[:3], pos, write=True, hipri=polled)
        check_steps(steps[3:], pos, write=False, hipri=polled)
    check_polls([event for event in events if event.name == "rnull_dio_poll"], device, polled)


def check_polls(polls, device, polled):
    assert sum(poll["reaped"] for poll in polls) == (2 * SIZE // BLOCK if polled else 0)
    assert all(poll["dev"] == dev(device.stat().st_rdev) for poll in polls)
    assert any(poll["cookie"] != NO_COOKIE for poll in polls) == polled


def test_requests_of_many_bios(device, diofs):
    length = 600 * BLOCK
    pieces = [pattern(BLOCK, seed=piece) for piece in range(600)]
    data = diofs(device)
    with files.opened(data) as fd, tracing.traced(*STEPS) as events:
        assert os.pwritev(fd, pieces, 4096) == length
    (steps,) = by_request(events, data).values()
    submit, *bios, complete = steps
    assert (submit.name, complete.name) == (STEPS[0], STEPS[2])
    assert (submit["length"], complete["ret"]) == (length, length)
    sectors = {bio["sector"] for bio in bios if bio.name == STEPS[1]}
    assert len(sectors) == len(bios) > 1
    assert min(sectors) >= sector(4096)
    assert max(sectors) < sector(4096 + length)


def test_the_end_of_the_file(device, diofs):
    data = diofs(device)
    pos = data.stat().st_size - BLOCK
    with files.opened(data) as fd, tracing.traced(*STEPS) as events:
        files.pread(fd, 8192, pos)
        files.pread(fd, 8192, pos + BLOCK)
    # A read at the end submits no request.
    ((at, steps),) = by_request(events, data).items()
    assert at == pos
    assert steps[-1]["ret"] == BLOCK


def test_what_is_refused_is_not_submitted(device, diofs):
    with files.opened(diofs(device)) as fd, tracing.traced() as events:
        with pytest.raises(OSError, match="Invalid argument"):
            files.pread(fd, 100, 0)
        with pytest.raises(OSError, match="Invalid argument"):
            files.pread(fd, 4096, 100)
    assert events == []


def test_events_have_errors(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64)
    data = diofs(device)
    devices.set_bad(device, DATA_START + 4096)
    with files.opened(data) as fd, tracing.traced(*STEPS) as events:
        with pytest.raises(OSError, match="Input/output error"):
            files.pread(fd, 4096, 4096)
        files.pread(fd, 4096, 8192)
    bad, good = by_request(events, data).values()
    assert (bad[1]["error"], bad[2]["ret"]) == (-errno.EIO, -errno.EIO)
    assert (good[1]["error"], good[2]["ret"]) == (0, 4096)


def test_durable_writes_need_io(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    flags = os.O_RDWR | os.O_DIRECT | os.O_DSYNC
    with files.opened(diofs(device), flags) as fd, tracing.traced("rnull_dio_submit") as events:
        os.pwritev(fd, [pattern(4096)], 0)
    (submit,) = events
    assert "DSYNC" in submit["flags"].split("|")
    assert submit["needs"] == "Io"
