# SPDX-License-Identifier: GPL-2.0
"""Requests that an eventfd counts (IOCB_FLAG_RESFD)."""

import os
import select
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from guest import aio
from guest.memory import aligned
from guest.tasks import Call

# See conftest.py
DELAY = 0.4


@pytest.fixture
def counter() -> Iterator[int]:
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def read(fd: int, counter: int, **more: int) -> aio.Iocb:
    return aio.request(aio.PREAD, fd, aligned(4096), flags=aio.RESFD, resfd=counter, **more)


def poll(fd: int, counter: int) -> aio.Iocb:
    return aio.request(aio.POLL, fd, (select.EPOLLIN, 0), flags=aio.RESFD, resfd=counter)


def is_readable(fd: int, timeout: float = 30) -> bool:
    return select.select([fd], [], [], timeout)[0] == [fd]


def has_counted(fd: int, number: int) -> bool:
    """Waits until FD has counted NUMBER. An event is in the ring before the eventfd counts it, so a
    task that has reaped the event may be earlier than the count."""
    counted = 0
    while counted < number and is_readable(fd):
        counted += os.eventfd_read(fd)
    return counted == number


def test_each_request_is_counted(context, file, counter):
    assert context.io_submit(*(read(file, counter) for _ in range(5))) == 5
    assert os.eventfd_read(counter) == 5
    without = aio.request(aio.PREAD, file, aligned(512), resfd=counter)
    assert context.io_submit(without, read(file, counter)) == 2
    assert os.eventfd_read(counter) == 1
    assert len(context.io_getevents(7, 8)) == 7
    with pytest.raises(BlockingIOError):
        os.eventfd_read(counter)


def test_other_operations_are_counted(context, file, counter):
    for opcode in (aio.PWRITE, aio.PREADV, aio.PWRITEV, aio.FSYNC, aio.FDSYNC):
        iocb = aio.request(opcode, file, flags=aio.RESFD, resfd=counter)
        assert context.io_submit(iocb) == 1
        assert is_readable(counter)
        assert os.eventfd_read(counter) == 1
        assert len(context.io_getevents(1, 1, timeout=0)) == 1


def test_the_event_is_there_when_the_eventfd_is_readable(context, slow_disk, counter):
    begin = time.monotonic()
    assert context.io_submit(*(read(slow_disk, counter, data=n) for n in range(4))) == 4
    assert not is_readable(counter, 0) or time.monotonic() - begin >= DELAY
    counted, seen = 0, []
    while counted < 4:
        assert is_readable(counter)
        counted += os.eventfd_read(counter)
        # Some events may be there before they are counted.
        seen += context.io_getevents(0, 8, timeout=0)
        assert len(seen) >= counted
    assert sorted(aio.data_of(seen)) == [0, 1, 2, 3]


def test_a_thread_in_read_is_woken(context, slow_disk):
    counter = os.eventfd(0)
    call = Call(os.eventfd_read, counter)
    assert context.io_submit(read(slow_disk, counter)) == 1
    assert call.result() == 1
    os.close(counter)


def test_a_semaphore(context, file):
    counter = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
    assert context.io_submit(*(read(file, counter) for _ in range(3))) == 3
    assert [os.eventfd_read(counter) for _ in range(3)] == [1, 1, 1]
    assert not is_readable(counter, 0)
    os.close(counter)


def test_bad_descriptors(context, file, pipe):
    assert context.io_submit(read(file, 1000)) == "EBADF"
    assert context.io_submit(read(file, 0xFFFFFFFF)) == "EBADF"
    for wrong in (file, *pipe):
        iocb = read(file, wrong)
        iocb.key = 77
        assert context.io_submit(iocb) == "EINVAL"
        # The eventfd is looked up after the file, and before anything is written.
        assert iocb.key == 77
        assert context.io_submit(read(1000, wrong)) == "EBADF"
    # It is looked up before the operation.
    iocb = aio.request(99, file, flags=aio.RESFD, resfd=1000)
    assert context.io_submit(iocb) == "EBADF"


def test_requests_that_are_refused_are_not_counted(context, file, counter):
    assert context.io_submit(read(file, counter, rw_flags=1 << 30)) == "EOPNOTSUPP"
    assert context.io_submit(aio.request(99, file, flags=aio.RESFD, resfd=counter)) == "EINVAL"
    assert not is_readable(counter, 0)


def test_the_eventfd_may_be_closed_in_between(context, slow_disk):
    counter = os.eventfd(0, os.EFD_NONBLOCK)
    other = os.dup(counter)
    assert context.io_submit(*(read(slow_disk, counter) for _ in range(2))) == 2
    os.close(counter)
    assert len(context.io_getevents(2, 2)) == 2
    assert has_counted(other, 2)
    os.close(other)
    # With the last descriptor, the eventfd stays as long as the request.
    counter = os.eventfd(0, os.EFD_NONBLOCK)
    assert context.io_submit(read(slow_disk, counter)) == 1
    os.close(counter)
    assert len(context.io_getevents(1, 1)) == 1


def test_more_than_an_eventfd_can_count(context, file, counter):
    os.eventfd_write(counter, (1 << 64) - 2)
    assert context.io_submit(*(read(file, counter) for _ in range(3))) == 3
    assert os.eventfd_read(counter) == (1 << 64) - 1
    assert len(context.io_getevents(3, 3)) == 3


def test_polls_are_counted(context, pipe, counter):
    receive, send = pipe
    assert context.io_submit(poll(receive, counter)) == 1
    assert not is_readable(counter, 0.2)
    os.write(send, b"x")
    assert is_readable(counter)
    assert os.eventfd_read(counter) == 1
    assert len(context.io_getevents(1, 1, timeout=0)) == 1
    assert context.io_submit(poll(receive, counter)) == 1
    assert os.eventfd_read(counter) == 1


def test_a_cancelled_poll_is_counted(context, pipe, counter):
    iocb = poll(pipe[0], counter)
    assert context.io_submit(iocb) == 1
    assert context.io_cancel(iocb) == "EINPROGRESS"
    assert is_readable(counter)
    assert context.io_getevents(1, 1, timeout=0)[0].res == 0


def test_an_eventfd_that_counts_its_own_polls(context, counter):
    # The completion must not take the lock of the queue that it is called with.
    assert context.io_submit(poll(counter, counter)) == 1
    os.eventfd_write(counter, 1)
    assert context.io_getevents(1, 1, timeout=30)[0].res == select.EPOLLIN
    assert has_counted(counter, 2)


def test_polls_of_a_chain_of_eventfds(context):
    chain = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(8)]
    for fd, counted in pairwise(chain):
        assert context.io_submit(poll(fd, counted)) == 1
    os.eventfd_write(chain[0], 1)
    assert is_readable(chain[-1])
    assert len(context.io_getevents(7, 7, timeout=30)) == 7
    for fd in chain:
        os.close(fd)
