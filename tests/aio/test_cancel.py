# SPDX-License-Identifier: GPL-2.0
"""io_cancel()."""

import ctypes
import mmap
import os
import select

from guest import aio
from guest.memory import aligned

IN = select.EPOLLIN
# What a write to a pipe is reported as, see test_poll.py
WRITTEN = select.EPOLLIN | select.EPOLLRDNORM


def poll(fd: int, **more: int) -> aio.Iocb:
    return aio.request(aio.POLL, fd, (IN, 0), **more)


def cancel(context: object, iocb: object) -> int | str:
    return aio.result_of(aio.IO_CANCEL, context, iocb, aio.Event())


def test_a_poll(context, pipe):
    receive, send = pipe
    iocb = poll(receive, data=9)
    event = aio.Event(1, 2, 3, 4)
    assert context.io_submit(iocb) == 1
    assert aio.result_of(aio.IO_CANCEL, context.context, iocb, event) == "EINPROGRESS"
    # The event comes through the ring, and not here.
    assert (event.data, event.obj, event.res, event.res2) == (1, 2, 3, 4)
    (event,) = context.io_getevents(1, 2, timeout=30)
    assert (event.data, event.obj) == (9, ctypes.addressof(iocb))
    assert (event.res, event.res2) == (0, 0)
    assert context.io_cancel(iocb) == "EINVAL"
    os.write(send, b"x")
    assert context.io_getevents(1, 1, timeout=0.2) == []


def test_one_of_several(context, pipe):
    receive, send = pipe
    iocbs = [poll(receive, data=number) for number in range(5)]
    assert context.io_submit(*iocbs) == 5
    assert context.io_cancel(iocbs[3]) == "EINPROGRESS"
    assert [event.data for event in context.io_getevents(1, 5, timeout=30)] == [3]
    os.write(send, b"x")
    events = context.io_getevents(4, 5, timeout=30)
    assert sorted((event.data, event.res) for event in events) == [
        (number, WRITTEN) for number in (0, 1, 2, 4)
    ]


def test_the_same_request_twice(context, pipe):
    iocb = poll(pipe[0])
    assert context.io_submit(iocb, iocb) == 2
    for _ in range(2):
        # One at a time is found by the address.
        assert context.io_cancel(iocb) == "EINPROGRESS"
        (event,) = context.io_getevents(1, 2, timeout=30)
        assert event.res == 0
    assert context.io_cancel(iocb) == "EINVAL"


def test_requests_that_are_not_there(context, file, pipe):
    iocb = poll(pipe[0])
    assert context.io_cancel(iocb) == "EINVAL"
    done = aio.request(aio.PREAD, file, aligned(512))
    assert context.io_submit(done) == 1
    assert context.io_cancel(done) == "EINVAL"
    assert context.io_getevents(1, 1)[0].res == 512


def test_a_request_of_another_context(context, pipe):
    iocb = poll(pipe[0])
    with aio.Context(4) as other:
        assert other.io_submit(iocb) == 1
        assert context.io_cancel(iocb) == "EINVAL"
        assert other.io_cancel(iocb) == "EINPROGRESS"
        assert other.io_getevents(1, 1, timeout=30)[0].res == 0


def test_bad_contexts(context, pipe, nowhere):
    iocb = poll(pipe[0])
    assert context.io_submit(iocb) == 1
    for wrong in (0, nowhere, context.id + 32):
        assert cancel(wrong, iocb) == "EINVAL"
    assert context.io_cancel(iocb) == "EINPROGRESS"


def test_bad_keys(context, pipe):
    iocb = poll(pipe[0])
    assert context.io_submit(iocb) == 1
    for key in (1, 0xFFFFFFFF):
        iocb.key = key
        assert context.io_cancel(iocb) == "EINVAL"
    iocb.key = 0
    assert context.io_cancel(iocb) == "EINPROGRESS"


def test_pointers_that_cannot_be_read(context, nowhere):
    for where in (0, nowhere, nowhere - 8):
        assert cancel(context.context, where) == "EFAULT"
        # The request is looked at before the context.
        assert cancel(0, where) == "EFAULT"
    # No more than the key is read.
    assert cancel(context.context, nowhere - 12) == "EINVAL"


def test_the_place_for_the_event_is_not_used(context, pipe, nowhere):
    for where in (0, nowhere):
        iocb = poll(pipe[0])
        assert context.io_submit(iocb) == 1
        assert aio.result_of(aio.IO_CANCEL, context.context, iocb, where) == "EINPROGRESS"
        assert len(context.io_getevents(1, 1, timeout=30)) == 1


def test_the_request_is_found_by_its_address(context, pipe):
    # What it says no longer matters.
    memory = aligned(mmap.PAGESIZE)
    iocb = aio.Iocb.from_buffer(memory)
    iocb.lio_opcode, iocb.fildes, iocb.buf = aio.POLL, pipe[0], IN
    assert context.io_submit(iocb) == 1
    ctypes.memset(ctypes.addressof(iocb), 0, ctypes.sizeof(iocb))
    assert context.io_cancel(iocb) == "EINPROGRESS"
    assert context.io_getevents(1, 1, timeout=30)[0].res == 0


def test_reads_in_flight(context, slow_disk):
    # A disk has no way to cancel them.
    iocb = aio.request(aio.PREAD, slow_disk, aligned(4096))
    assert context.io_submit(iocb) == 1
    assert context.io_cancel(iocb) == "EINVAL"
    assert context.io_getevents(1, 1)[0].res == 4096


def test_cancelling_beside_completing(context, pipe):
    receive, send = pipe
    for turn in range(100):
        iocb = poll(receive, data=turn)
        assert context.io_submit(iocb) == 1
        os.write(send, b"x")
        outcome = context.io_cancel(iocb)
        (event,) = context.io_getevents(1, 2, timeout=30)
        assert (event.data, outcome, event.res) == (turn, "EINVAL", WRITTEN)
        os.read(receive, 8)
