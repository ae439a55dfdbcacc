# SPDX-License-Identifier: GPL-2.0
"""Tracepoints tell what becomes of a request, each step once."""

import errno
import os

import lab
import pytest

ISSUERS = {
    "psync": {"ioengine": "psync"},
    "libaio": {"ioengine": "libaio", "iodepth": 8},
    "io_uring": {"ioengine": "io_uring", "iodepth": 8},
    "io_uring-polled": {"ioengine": "io_uring", "iodepth": 8, "hipri": 1},
}
STEPS = ("rnull_dio_submit", "rnull_dio_bio_end", "rnull_dio_complete")

SIZE = 256 * 1024


def trace_steps():
    return lab.traced(*STEPS)


def by_request(events, data):
    """The events of each request, by position; all of them are of the file DATA."""
    stat = data.stat()
    dev = f"{os.major(stat.st_dev)}:{os.minor(stat.st_dev)}"
    requests = {}
    for event in events:
        assert (event["dev"], event["ino"]) == (dev, stat.st_ino)
        requests.setdefault(event["pos"], []).append(event)
    return requests


def sector(pos):
    """Where on the device, in sectors, the byte POS of the file is."""
    return (lab.DATA_START + pos) // 512


@pytest.mark.parametrize("issuer", ISSUERS)
@pytest.mark.parametrize("rw", ["read", "write"])
def test_every_step_is_told_once(issuer, rw, device, diofs):
    data = diofs(device)
    with trace_steps() as events:
        job = lab.fio(data, rw=rw, size=SIZE, **ISSUERS[issuer])
    assert job["error"] == 0
    requests = by_request(events, data)
    assert sorted(requests) == list(range(0, SIZE, lab.BLOCK))
    for pos, steps in requests.items():
        assert tuple(step.name for step in steps) == STEPS
        submit, bio_end, complete = steps
        flags = submit["flags"].split("|")
        assert submit["length"] == lab.BLOCK
        assert submit["write"] == (rw == "write")
        assert ("HIPRI" in flags) == (issuer == "io_uring-polled")
        assert "DIRECT" in flags
        assert submit["needs"] == "Nothing"
        assert (bio_end["sector"], bio_end["error"]) == (sector(pos), 0)
        assert complete["ret"] == lab.BLOCK


def test_requests_of_many_bios(device, diofs):
    length = 600 * lab.BLOCK
    pieces = [lab.pattern(lab.BLOCK, seed=piece) for piece in range(600)]
    data = diofs(device)
    with lab.opened(data) as fd, trace_steps() as events:
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
    pos = data.stat().st_size - lab.BLOCK
    with lab.opened(data) as fd, trace_steps() as events:
        lab.pread(fd, 8192, pos)
        lab.pread(fd, 8192, pos + lab.BLOCK)
    # Where there is nothing to read, nothing is submitted.
    ((at, steps),) = by_request(events, data).items()
    assert at == pos
    assert steps[-1]["ret"] == lab.BLOCK


def test_what_is_refused_is_not_submitted(device, diofs):
    with lab.opened(diofs(device)) as fd, lab.traced() as events:
        with pytest.raises(OSError, match="Invalid argument"):
            lab.pread(fd, 100, 0)
        with pytest.raises(OSError, match="Invalid argument"):
            lab.pread(fd, 4096, 100)
    assert events == []


@pytest.mark.parametrize("issuer", ISSUERS)
def test_errors_are_told(issuer, null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, irqmode=2, poll_queues=1)
    data = diofs(device)
    bad = sector(SIZE // 2)
    lab.write(lab.CONFIGFS / device.name / "badblocks", f"+{bad}-{bad}")
    with trace_steps() as events:
        lab.fio(data, rw="read", size=SIZE, continue_on_error="io", **ISSUERS[issuer])
    for pos, (_, bio_end, complete) in by_request(events, data).items():
        if pos == SIZE // 2:
            assert (bio_end["error"], complete["ret"]) == (-errno.EIO, -errno.EIO)
        else:
            assert (bio_end["error"], complete["ret"]) == (0, lab.BLOCK)


def test_durable_writes_need_io(null_disk, diofs):
    device = null_disk(memory_backed=1, size=64, write_cache=1)
    flags = os.O_RDWR | os.O_DIRECT | os.O_DSYNC
    with lab.opened(diofs(device), flags) as fd, lab.traced("rnull_dio_submit") as events:
        os.pwritev(fd, [lab.pattern(4096)], 0)
    (submit,) = events
    assert "DSYNC" in submit["flags"].split("|")
    assert submit["needs"] == "Io"


def test_polls_tell_what_they_reap(device, diofs):
    data = diofs(device)
    with lab.traced("rnull_dio_poll", "rnull_dio_complete") as events:
        job = lab.fio(data, rw="randread", size=SIZE, **ISSUERS["io_uring-polled"])
    assert job["error"] == 0
    polls = [event for event in events if event.name == "rnull_dio_poll"]
    dev = device.stat().st_rdev
    assert {poll["dev"] for poll in polls} == {f"{os.major(dev)}:{os.minor(dev)}"}
    assert {poll["cookie"] for poll in polls} - {0xFFFFFFFF}
    assert sum(poll["reaped"] for poll in polls) == len(events) - len(polls) == SIZE // lab.BLOCK
