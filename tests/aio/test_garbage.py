# SPDX-License-Identifier: GPL-2.0
"""Rings with which something happens while events are written to them: their owner overwrites them
with anything, or their pages move."""

import ctypes
import os
import random
import threading
from pathlib import Path

import pytest

from guest import aio, files, kernel
from guest.memory import aligned, pattern
from guest.tasks import Call, run_in_child

ROUNDS = kernel.fewer(150, least=50)
FIELDS = ("id", "nr", "head", "tail", "magic", "compat_features", "header_length")


def read(fd: int, data: int = 0, **more: int) -> aio.Iocb:
    return aio.request(aio.PREAD, fd, aligned(512), 512 * (data % 128), data=data, **more)


def check_works(context: aio.Context, fd: int) -> None:
    """Checks what all requests of one context read, more than there are slots."""
    for _ in range(3):
        iocbs = [read(fd, number) for number in range(60)]
        assert context.io_submit(*iocbs) == 60
        events = context.io_getevents(60, 100, timeout=30)
        assert sorted(aio.data_of(events)) == list(range(60))
        assert all(
            iocb.memory[:] == pattern(1 << 16)[512 * iocb.data : 512 * iocb.data + 512]
            for iocb in iocbs
        )


def restore(context: aio.Context, good: int, counter: int, submitted: int, fd: int) -> None:
    """Makes a ring with any content usable again. SUBMITTED requests are counted by COUNTER."""
    header = context.header
    header.id = good
    done = 0
    while done < submitted:
        done += os.eventfd_read(counter)
    for head in range(length_of_ring(context)):
        # With a head that is not the tail, there may be no slot.
        header.head = head
        if context.io_submit(read(fd, flags=aio.RESFD, resfd=counter)) == 1:
            break
    else:
        raise AssertionError("no slot becomes free")
    assert os.eventfd_read(counter) == 1
    header.head = header.tail
    assert context.io_getevents(0, 1) == []


def length_of_ring(context: aio.Context) -> int:
    """Returns the number of slots, according to the length of the mapping."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(word, 16) for word in line.split()[0].split("-"))
        if first == context.id:
            return (last - first - 32) // 32
    raise LookupError("no mapping")


def overwrite(context: aio.Context, chance: random.Random, length: int) -> None:
    """Writes something to a field, or anything anywhere."""
    value = chance.choice((0, 1, chance.randrange(300), chance.getrandbits(32), (1 << 32) - 1))
    if chance.random() < 0.7:
        setattr(context.header, chance.choice(FIELDS), value)
        return
    start = chance.randrange(length)
    size = min(chance.choice((4, 32, 500, length)), length - start)
    ctypes.memmove(context.id + start, chance.randbytes(size), size)


@pytest.mark.parametrize("seed", [1, 2])
def test_anything_anywhere_during_io(disk, seed):
    def child(_) -> None:
        chance = random.Random(seed)
        counter = os.eventfd(0)
        context = aio.Context(60)
        good, length = context.header.id, aio.length_of(context)
        submitted = 0
        for turn in range(ROUNDS):
            iocbs = [read(disk, turn, flags=aio.RESFD, resfd=counter) for _ in range(4)]
            outcome = context.io_submit(*iocbs)
            assert outcome in (1, 2, 3, 4, "EAGAIN", "EINVAL")
            submitted += outcome if isinstance(outcome, int) else 0
            overwrite(context, chance, length)
            taken = context.io_getevents(chance.randrange(2), 1000, timeout=0)
            assert taken == "EINVAL" or len(taken) < length // 32
            assert context.io_cancel(iocbs[0]) == "EINVAL"
            if chance.random() < 0.5:
                context.header.id = good
        restore(context, good, counter, submitted, disk)
        check_works(context, disk)
        assert context.destroy() == 0

    run_in_child(child)


def test_anything_anywhere_by_another_thread(disk):
    def child(_) -> None:
        chance = random.Random(4)
        context = aio.Context(60)
        length, stopped = aio.length_of(context), threading.Event()
        good = context.header.id

        def keep_overwriting() -> None:
            while not stopped.is_set():
                overwrite(context, chance, length)
                context.header.id = good

        writer = Call(keep_overwriting)
        waiter = Call(context.io_getevents, 1, 500, 5.0)
        for turn in range(ROUNDS):
            context.io_submit(*(read(disk, turn) for _ in range(4)))
            context.io_getevents(1, 500, timeout=0.001)
        stopped.set()
        writer.result()
        context.header.id = good
        waiter.result()
        # The process exits with the ring as it is.

    run_in_child(child)


def test_pages_of_the_ring_move_in_memory(context, disk):
    # Compaction moves pages while events are written to them.
    compact = Path("/proc/sys/vm/compact_memory")
    if not compact.exists():
        pytest.skip("the kernel moves no pages")
    stopped = threading.Event()

    def keep_compacting() -> int:
        count = 0
        while not count or not stopped.is_set():
            files.write(compact, 1)
            count += 1
        return count

    call = Call(keep_compacting)
    try:
        with aio.Context(1000) as large:
            check_works(large, disk)
    finally:
        stopped.set()
    assert call.result() > 0
    assert context.io_submit(read(disk, 5)) == 1
    assert aio.data_of(context.io_getevents(1, 1)) == [5]
