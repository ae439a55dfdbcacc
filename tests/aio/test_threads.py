# SPDX-License-Identifier: GPL-2.0
"""Several threads that submit to one context and reap from it."""

import threading
from itertools import pairwise

from guest import aio, files
from guest.memory import aligned, pattern
from guest.tasks import Call


def test_four_submit_and_one_reaps(disk):
    rounds, block = 40, 2048

    def submit(context: aio.Context, number: int) -> None:
        for turn in range(rounds):
            offset = (number * rounds + turn) * block
            iocb = aio.request(aio.PWRITE, disk, pattern(block, seed=offset), offset, data=offset)
            while (outcome := context.io_submit(iocb)) == "EAGAIN":
                pass
            assert outcome == 1

    with aio.Context(32) as context:
        calls = [Call(submit, context, number) for number in range(4)]
        seen = []
        while len(seen) < 4 * rounds:
            events = context.io_getevents(1, 16, timeout=30)
            assert events
            seen += [(event.data, event.res) for event in events]
        for call in calls:
            call.result()
    assert sorted(seen) == [(at * block, block) for at in range(4 * rounds)]
    for at in range(0, 4 * rounds * block, block):
        assert files.pread(disk, block, at) == pattern(block, seed=at)[:]


def test_several_reap(slow_disk):
    taken: list[int] = []
    lock = threading.Lock()

    def reap(context: aio.Context) -> None:
        for _ in range(10):
            (event,) = context.io_getevents(1, 1, timeout=30)
            with lock:
                taken.append(event.data)

    with aio.Context(64) as context:
        calls = [Call(reap, context) for _ in range(4)]
        iocbs = [aio.request(aio.PREAD, slow_disk, aligned(4096), data=n) for n in range(40)]
        assert all(context.io_submit(*part) == 10 for part in batches(iocbs, 10))
        for call in calls:
            call.result()
        assert sorted(taken) == list(range(40))
        assert context.header.head == context.header.tail == 40


def batches(items: list, size: int) -> list[list]:
    edges = range(0, len(items) + 1, size)
    return [items[first:last] for first, last in pairwise(edges)]
