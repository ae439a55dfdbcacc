# SPDX-License-Identifier: GPL-2.0
"""Tracepoints: each step of a request is one event."""

import errno
import os
import re

import pytest

from guest import counters, devices, files, fio, tracing
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


def names(event, field):
    """Returns the names that the event's format has for the values of a field: 0, 1, and so on."""
    path = tracing.TRACING / "events" / "rnull_dio" / event / "format"
    (table,) = re.findall(rf"__print_symbolic\(REC->{field}, ([^)]*)\)", path.read_text())
    pairs = re.findall(r'\{ (\d+), "(\w+)" \}', table)
    assert [int(value) for value, _ in pairs] == list(range(len(pairs)))
    return [name for _, name in pairs]


def routing_tables():
    """Returns the policies of the file `routing`, and the titles and the rows of each table."""
    _, *sections = re.split(r"^``(\w+)``:$", (counters.DEBUGFS / "routing").read_text(), flags=re.M)
    tables = []
    for text in sections[1::2]:
        rows = [line for line in text.splitlines() if line and not line.startswith("=")]
        titles, *others = (re.split(r" {2,}", row) for row in rows)
        tables.append((titles, others))
    return sections[::2], tables


def test_events_name_routes_as_the_counters_do(null_disk, diofs):
    disk = null_disk(memory_backed=1, size=64)
    diofs(disk)
    assert names("rnull_dio_route", "route") == list(counters.routes(disk))


def test_events_name_policies_and_needs_as_the_routing_tables_do():
    policies, tables = routing_tables()
    assert names("rnull_dio_route", "policy") == policies
    for event in ["rnull_dio_submit", "rnull_dio_route"]:
        for _, rows in tables:
            assert names(event, "needs") == [row[0] for row in rows]


def test_events_name_arrivals_and_issuers_as_the_routing_tables_do():
    _, tables = routing_tables()
    for (_, *titles), _ in tables:
        # A title is an arrival, or an arrival and an issuer.
        arrivals, issuers = zip(*((title + ", ").split(", ")[:2] for title in titles), strict=True)
        assert names("rnull_dio_route", "arrival") == list(dict.fromkeys(arrivals))
        assert sorted(names("rnull_dio_route", "issuer")) == sorted(set(issuers) - {""})


@pytest.mark.parametrize(("ioengine", "issuer"), [("libaio", "plain"), ("io_uring", "defers")])
def test_events_name_the_issuer(ioengine, issuer, null_disk, diofs):
    data = diofs(null_disk(memory_backed=1, size=64, irqmode=2, completion_nsec=2_000_000))
    with tracing.traced("rnull_dio_route") as events:
        fio.run(data, rw="write", ioengine=ioengine, iodepth=4, size=SIZE)
    # The kernel's workers submit some requests of io_uring, and do not defer.
    assert issuer in {event["issuer"] for event in events if event["arrival"] == "Irq"}
