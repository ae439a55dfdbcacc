# SPDX-License-Identifier: GPL-2.0
"""The ring in the memory of its owner: reaped there, moved, overwritten, unmapped, and full."""

import mmap
import os
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import aio, system
from guest.memory import address, aligned
from guest.tasks import Call, run_in_child

PAGE = mmap.PAGESIZE

# A system call that Python does not have, and its flags
MREMAP = 25
MAYMOVE, FIXED = 1, 2


def submit_reads(context: aio.Context, file: int, *data: int) -> None:
    iocbs = [aio.request(aio.PREAD, file, aligned(512), data=number) for number in data]
    assert context.io_submit(*iocbs) == len(data)


def take(context: aio.Context) -> list[int]:
    """Takes all events out of the ring, as libaio does, and returns their data."""
    header = context.header
    slots = context.slots(header.nr)
    taken = []
    while header.head != header.tail:
        assert (slots[header.head].res, slots[header.head].res2) == (512, 0)
        taken.append(slots[header.head].data)
        header.head = (header.head + 1) % header.nr
    return taken


def length_of(context: aio.Context) -> int:
    return 32 + 32 * context.header.nr


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """Keeps the test on one CPU, because free slots are counted for each CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    yield
    os.sched_setaffinity(0, before)


def fill(context: aio.Context, fd: int) -> int:
    """Submits polls of FD, one by one, until there is no slot; returns how many there were."""
    count = 0
    while True:
        outcome = context.io_submit(aio.request(aio.POLL, fd, (select.EPOLLIN, 0), data=count))
        if outcome != 1:
            assert outcome == "EAGAIN"
            return count
        count += 1


def test_reaping_in_the_ring(context, file):
    # More than the ring has, so that the slots of events that were taken must be used again.
    total, data = 3 * context.header.nr, 0
    while data < total:
        submit_reads(context, file, *range(data, data + 9))
        assert take(context) == list(range(data, data + 9))
        data += 9
    assert context.io_getevents(0, 8) == []


def test_reaping_by_turns(context, file):
    seen = []
    for data in range(0, 600, 6):
        submit_reads(context, file, *range(data, data + 6))
        seen += [event.data for event in context.io_getevents(2, 2)]
        header = context.header
        seen.append(context.slots(header.nr)[header.head].data)
        header.head = (header.head + 1) % header.nr
        seen += [event.data for event in context.io_getevents(1, 8)]
    assert seen == list(range(600))


def test_reaping_while_another_thread_submits(file):
    total = 250
    with aio.Context(32) as context:

        def submit() -> None:
            for data in range(total):
                iocb = aio.request(aio.PREAD, file, aligned(512), data=data)
                while (outcome := context.io_submit(iocb)) == "EAGAIN":
                    pass
                assert outcome == 1

        call = Call(submit)
        seen: list[int] = []
        while len(seen) < total and not call.error:
            seen += take(context)
        call.result()
        assert seen == list(range(total))


@pytest.mark.parametrize("nr", [1, 16, 100])
def test_all_slots_are_used(one_cpu, pipe, nr):  # noqa: ARG001
    receive, send = pipe
    with aio.Context(nr) as context:
        count = fill(context, receive)
        assert nr <= count < context.header.nr
        # Not even an error that is found later needs no slot.
        assert context.io_submit(aio.request(99, 1000)) == "EAGAIN"
        assert context.io_submit(aio.request(aio.POLL, receive, reserved2=1)) == "EINVAL"
        os.write(send, b"x")
        # A worker of the module puts the events into the ring.
        system.wait_for(lambda: context.header.tail == count)
        # They are there, so that there are still no slots.
        assert fill(context, receive) == 0
        events = context.io_getevents(count, count + 1, timeout=0)
        assert sorted(event.data for event in events) == list(range(count))
        os.read(receive, 8)
        assert fill(context, receive) == count


def test_slots_become_free_in_the_ring(one_cpu, pipe):  # noqa: ARG001
    receive, send = pipe
    with aio.Context(1) as context:
        count = fill(context, receive)
        header = context.header
        os.write(send, b"x")
        system.wait_for(lambda: header.tail == count)
        os.read(receive, 8)
        for some in (1, 5, 2):
            header.head = (header.head + some) % header.nr
            # These cannot complete yet, so that each has a slot.
            assert fill(context, receive) == some
        assert len(context.io_getevents(0, count)) == count - 8


def test_a_failed_submission_keeps_no_slot(one_cpu, pipe, file):  # noqa: ARG001
    with aio.Context(4) as context:
        for _ in range(2 * context.header.nr):
            assert context.io_submit(aio.request(99, file)) == "EINVAL"
            assert context.io_submit(aio.request(aio.PREAD, 1000)) == "EBADF"
        assert fill(context, pipe[0]) >= 4


def test_more_requests_than_slots_at_once(one_cpu, pipe):  # noqa: ARG001
    receive, _ = pipe
    with aio.Context(4) as context:
        iocbs = [aio.request(aio.POLL, receive, (select.EPOLLIN, 0)) for _ in range(1000)]
        count = context.io_submit(*iocbs)
        assert 4 <= count < context.header.nr
        assert context.io_submit(*iocbs[count:]) == "EAGAIN"


def free_place(length: int) -> int:
    """Returns an address where nothing is mapped."""
    return address(mmap.mmap(-1, length))


def test_slots_of_reads(one_cpu, slow_disk):  # noqa: ARG001
    with aio.Context(16) as context:
        iocbs = [aio.request(aio.PREAD, slow_disk, aligned(4096), data=n) for n in range(300)]
        for _ in range(2):
            count = context.io_submit(*iocbs)
            assert 16 <= count < context.header.nr
            assert context.io_submit(iocbs[0]) == "EAGAIN"
            events = context.io_getevents(count, 300)
            assert sorted((event.data, event.res) for event in events) == [
                (number, 4096) for number in range(count)
            ]


def mremap(old: int, old_length: int, new_length: int, flags: int, new: int = 0) -> int | str:
    return aio.result_of(MREMAP, old, old_length, new_length, flags, new)


def test_moving_the_ring(file, slow_disk):
    with aio.Context(8) as context:
        length, old = length_of(context), context.id
        slow = aio.request(aio.PREAD, slow_disk, aligned(4096), data=1)
        assert context.io_submit(slow) == 1
        submit_reads(context, file, 2)
        new = free_place(length)
        assert mremap(old, length, length, MAYMOVE | FIXED, new) == new
        assert aio.result_of(aio.IO_GETEVENTS, old, 0, 1, aio.Event(), None) == "EINVAL"
        context.context.value = new
        assert context.header.magic == aio.MAGIC
        assert sorted(aio.data_of(context.io_getevents(2, 2))) == [1, 2]
        submit_reads(context, file, 3)
        assert take(context) == [3]
        # Back to the old address
        assert mremap(new, length, length, MAYMOVE | FIXED, old) == old
        context.context.value = old
        submit_reads(context, file, 4)
        assert [event.data for event in context.io_getevents(1, 1)] == [4]


def test_moving_a_part_of_the_ring(file):
    def child(_):
        context = aio.Context(1000)
        length = length_of(context)
        new = free_place(length)
        for offset, part in ((0, PAGE), (PAGE, PAGE), (PAGE, length - PAGE)):
            outcome = mremap(context.id + offset, part, part, MAYMOVE | FIXED, new)
            assert outcome == "EINVAL"
        assert mremap(context.id, length, length + PAGE, MAYMOVE) == "EFAULT"
        submit_reads(context, file, *range(400))
        assert [event.data for event in context.io_getevents(1, 400)] == list(range(400))
        assert context.destroy() == 0

    run_in_child(child)


def test_a_moved_ring_is_unmapped():
    with aio.Context(8) as context:
        length, old = length_of(context), context.id
        new = free_place(length)
        assert mremap(old, length, length, MAYMOVE | FIXED, new) == new
        context.context.value = new
        assert context.destroy() == 0
        assert f"{new:x}-" not in Path("/proc/self/maps").read_text()
