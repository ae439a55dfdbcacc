# SPDX-License-Identifier: GPL-2.0
"""io_getevents(): how many events it returns, how long it waits, and what it refuses."""

import ctypes
import mmap
import os
import select
import time

import pytest

from guest import aio, system
from guest.memory import aligned, pattern
from guest.tasks import Call


def submit_reads(context: aio.Context, file: int, count: int) -> None:
    """Submits reads that are complete afterwards; the data of their events is 0 to COUNT - 1."""
    iocbs = [aio.request(aio.PREAD, file, aligned(512), data=number) for number in range(count)]
    assert context.io_submit(*iocbs) == count


def numbers(events: list[aio.Event]) -> list[int]:
    return [event.data for event in events]


class Clock:
    """Measures the time of a with statement."""

    def __enter__(self):
        self.begin = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.begin


@pytest.mark.parametrize(
    ("min_nr", "nr"), [(2, 1), (-1, 1), (0, -1), (-2, -1), (1, 0), (1 << 62, 1), (-(1 << 63), 0)]
)
def test_bad_numbers(context, file, min_nr, nr):
    submit_reads(context, file, 1)
    events = (aio.Event * 2)()
    arguments = (context.context, min_nr, nr, events, None)
    assert aio.result_of(aio.IO_GETEVENTS, *arguments) == "EINVAL"
    assert len(context.io_getevents(1, 1)) == 1


def test_bad_contexts(context, nowhere):
    with aio.Context(1) as other:
        gone = other.id
    events = (aio.Event * 1)()
    for wrong in (0, 1, nowhere, gone, context.id + 32):
        assert aio.result_of(aio.IO_GETEVENTS, wrong, 0, 1, events, None) == "EINVAL"
        # The context is looked at before the numbers, and the timeout before both.
        assert aio.result_of(aio.IO_GETEVENTS, wrong, 0, 1, events, nowhere) == "EFAULT"


def test_no_events_are_wanted(context, file, nowhere):
    assert aio.result_of(aio.IO_GETEVENTS, context.context, 0, 0, None, None) == 0
    submit_reads(context, file, 2)
    assert aio.result_of(aio.IO_GETEVENTS, context.context, 0, 0, nowhere, None) == 0
    assert numbers(context.io_getevents(0, 8)) == [0, 1]


def test_none_are_there(context):
    for timeout in (None, 0, 60):
        assert context.io_getevents(0, 4, timeout) == []


def test_as_many_as_there_are(context, file):
    submit_reads(context, file, 9)
    assert numbers(context.io_getevents(1, 2)) == [0, 1]
    assert numbers(context.io_getevents(0, 1)) == [2]
    assert numbers(context.io_getevents(3, 3)) == [3, 4, 5]
    assert numbers(context.io_getevents(1, 1000)) == [6, 7, 8]
    assert context.io_getevents(0, 1) == []


def test_what_an_event_says(context, file):
    iocb = aio.request(aio.PREAD, file, aligned(4096), data=(1 << 64) - 1)
    assert context.io_submit(iocb) == 1
    (event,) = context.io_getevents(1, 1)
    assert event.data == (1 << 64) - 1
    assert event.obj == ctypes.addressof(iocb)
    assert (event.res, event.res2) == (4096, 0)
    assert iocb.memory[:] == pattern(1 << 16)[:4096]


def test_the_rest_of_the_array_is_left_alone(context, file):
    submit_reads(context, file, 2)
    memory = aligned(mmap.PAGESIZE)
    memory[:] = b"\xff" * mmap.PAGESIZE
    events = (aio.Event * 8).from_buffer(memory)
    assert aio.result_of(aio.IO_GETEVENTS, context.context, 1, 8, events, None) == 2
    assert [event.data for event in events[:2]] == [0, 1]
    assert memory[64:] == b"\xff" * (mmap.PAGESIZE - 64)


@pytest.mark.parametrize("there", [0, 2])
def test_the_time_expires(context, file, there):
    submit_reads(context, file, there)
    with Clock() as clock:
        assert numbers(context.io_getevents(3, 8, timeout=0.4)) == list(range(there))
    assert 0.4 <= clock.seconds < 10


def test_no_time_at_all(context, file):
    submit_reads(context, file, 2)
    with Clock() as clock:
        assert numbers(context.io_getevents(3, 8, timeout=0)) == [0, 1]
        assert context.io_getevents(3, 8, timeout=0) == []
    assert clock.seconds < 10


@pytest.mark.parametrize(("seconds", "nanoseconds"), [(-1, 0), (0, -1), (1 << 40, 0)])
def test_times_without_an_end(context, file, seconds, nanoseconds):
    # The kernel adds negative times to the clock and takes the result for an overflow.
    limit = aio.Timespec(seconds, nanoseconds)
    arguments = (context.context, 1, 1, aio.Event(), limit)
    call = Call(aio.result_of, aio.IO_GETEVENTS, *arguments)
    call.wait_until_in(aio.IO_GETEVENTS)
    call.join(0.5)
    assert call.is_alive()
    submit_reads(context, file, 1)
    assert call.result() == 1


def test_a_time_that_is_not_normalized(context):
    limit = aio.Timespec(0, 1_200_000_000)
    with Clock() as clock:
        arguments = (context.context, 1, 1, aio.Event(), limit)
        assert aio.result_of(aio.IO_GETEVENTS, *arguments) == 0
    assert 1.2 <= clock.seconds < 10


def test_a_time_that_cannot_be_read(context, file, nowhere):
    submit_reads(context, file, 1)
    for where in (nowhere, nowhere - 8, 1):
        arguments = (context.context, 1, 1, aio.Event(), where)
        assert aio.result_of(aio.IO_GETEVENTS, *arguments) == "EFAULT"
    assert numbers(context.io_getevents(1, 1)) == [0]


def test_events_that_cannot_be_written(context, file, nowhere):
    submit_reads(context, file, 3)
    # There is memory for none, for half of one, and for two.
    for where in (nowhere, nowhere - 16, nowhere - 64, 0):
        arguments = (context.context, 1, 3, where, None)
        assert aio.result_of(aio.IO_GETEVENTS, *arguments) == "EFAULT"
    assert aio.result_of(aio.IO_GETEVENTS, context.context, 1, 2, nowhere - 64, None) == 2
    assert [event.data for event in (aio.Event * 2).from_address(nowhere - 64)] == [0, 1]
    assert numbers(context.io_getevents(1, 3)) == [2]


def test_events_that_cannot_be_written_later(context, file, pipe, nowhere):
    # The first one is written before the call sleeps, and the second one cannot be.
    receive, send = pipe
    submit_reads(context, file, 1)
    assert context.io_submit(aio.request(aio.POLL, receive, (select.EPOLLIN, 0), data=1)) == 1
    arguments = (context.context, 2, 2, nowhere - 32, None)
    call = Call(aio.result_of, aio.IO_GETEVENTS, *arguments)
    call.wait_until_in(aio.IO_GETEVENTS)
    os.write(send, b"x")
    assert call.result() == 1
    assert aio.Event.from_address(nowhere - 32).data == 0
    assert numbers(context.io_getevents(1, 1)) == [1]


def test_a_completion_wakes(context, slow_disk):
    def is_later_than_submission() -> bool:
        with Clock() as clock:
            assert context.io_submit(aio.request(aio.PREAD, slow_disk, aligned(4096), data=3)) == 1
            there = context.io_getevents(0, 1)
            assert numbers(there or context.io_getevents(1, 1)) == [3]
        # The disk needs as long as that, see conftest.py.
        assert clock.seconds >= 0.4
        return there == []

    # The submission does not wait, but this task may pause for as long as the disk needs.
    system.wait_for(is_later_than_submission)


def test_only_the_last_completion_wakes(context, pipe):
    receive, send = pipe
    call = Call(context.io_getevents, 3, 8)
    call.wait_until_in(aio.IO_GETEVENTS)
    for number in range(3):
        assert call.is_alive()
        os.write(send, b"x")
        iocb = aio.request(aio.PREAD, receive, aligned(1), data=number)
        assert context.io_submit(iocb) == 1
        call.join(0.3)
    assert numbers(call.result()) == [0, 1, 2]


def test_a_completion_wakes_only_some(context, file):
    # Each of these waits for another number of events; the one for the fewest is served first.
    patient = Call(context.io_getevents, 5, 5)
    patient.wait_until_in(aio.IO_GETEVENTS)
    other = Call(context.io_getevents, 1, 1)
    other.wait_until_in(aio.IO_GETEVENTS)
    submit_reads(context, file, 1)
    assert numbers(other.result()) == [0]
    assert patient.is_alive()
    submit_reads(context, file, 5)
    assert numbers(patient.result()) == [0, 1, 2, 3, 4]


def test_events_before_and_during_the_wait(context, file, slow_disk):
    submit_reads(context, file, 2)
    assert context.io_submit(aio.request(aio.PREAD, slow_disk, aligned(4096), data=9)) == 1
    assert numbers(context.io_getevents(3, 8, timeout=30)) == [0, 1, 9]


def test_more_than_the_ring_has(context, file):
    # The ring wraps several times, at different positions.
    total = 5 * context.header.nr
    done = 0
    while done < total:
        submit_reads(context, file, 7)
        assert numbers(context.io_getevents(7, 7)) == list(range(7))
        done += 7
        assert context.header.head == context.header.tail == done % context.header.nr
