# SPDX-License-Identifier: GPL-2.0
"""Completions that a task finishes which sleeps in io_getevents(), in place of the worker.

A completion has to sleep if there are cached pages in the range of the write. Those that were there
before are dropped when it begins, so another task reads the range while the write is under way.
"""

import os
import signal
import time

import pytest

from guest import aio, counters, files, fio, live, policies, system
from guest.memory import aligned
from guest.tasks import Call, Child

BLOCK = 4096
COUNT = 32

# Slow enough that the read begins before the write ends
DISK = {"memory_backed": 1, "size": 512, "irqmode": 2, "completion_nsec": 10_000_000}
# For many rounds
QUICKER = {"completion_nsec": 1_000_000}

# How a task waits for its writes: options of samples/deadlock, and how many there are
WAYS = {"fallocate": [], "ftruncate": ["--shrink"], "freeze": ["--freeze"]}
DEPTH = 4


@pytest.fixture(scope="module", autouse=True)
def side():
    """Only the module leaves completions to such a task."""
    with aio.taken_over():
        yield "module"


@pytest.fixture(params=["xfs", "ext4"])
def data(request, null_disk):
    """A file of an attached file system."""
    quicker = QUICKER if "way" in request.fixturenames else {}
    with live.on_device(request.param, null_disk(**(DISK | quicker))) as mount:
        path = mount / "data"
        fio.lay_out(path, COUNT * BLOCK)
        yield path


def finished() -> int:
    return aio.events()["finished"]


def block(number: int):
    memory = aligned(BLOCK)
    memory[:] = bytes([number % 251 + 1]) * BLOCK
    return memory


class Reaper(Call):
    """A thread that sleeps in io_getevents() until it has COUNT results."""

    def __init__(self, context: aio.Context, count: int):
        super().__init__(context.io_getevents, count, count)
        self.wait_until_in(aio.IO_GETEVENTS)

    def results(self) -> list[tuple[int, int]]:
        return sorted((event.data, event.res) for event in self.result())


def write_beside_read(context: aio.Context, fd: int, cached: int, number: int, offset: int) -> None:
    """Submits a write, and reads what it writes through the page cache."""
    iocb = aio.request(aio.PWRITE, fd, block(number), offset, data=number)
    assert context.io_submit(iocb) == 1
    assert len(os.pread(cached, BLOCK, offset)) == BLOCK


def test_no_worker_is_needed(data):
    before, routes = finished(), live.routes()
    with files.opened(data) as fd, files.buffered(data) as cached, aio.Context(COUNT) as context:
        reaper = Reaper(context, COUNT)
        for number in range(COUNT):
            write_beside_read(context, fd, cached, number, number * BLOCK)
        assert reaper.results() == [(number, BLOCK) for number in range(COUNT)]
        # The pages that were stale are gone.
        for number in range(COUNT):
            assert os.pread(cached, BLOCK, number * BLOCK) == bytes(block(number))
    done, grown = finished() - before, counters.grown(live.routes(), routes)
    # The task may be on its way back to sleep when a write ends, or the write may end before its
    # page is cached.
    others = [grown.get(route, 0) for route in ("worker", "inline", "submitter")]
    assert done + sum(others) == COUNT
    assert done > 0


def test_a_task_that_does_not_sleep_leaves_it_to_the_worker(data):
    before, worker = finished(), live.routes()["worker"]
    with files.opened(data) as fd, files.buffered(data) as cached, aio.Context(COUNT) as context:
        for number in range(4):
            write_beside_read(context, fd, cached, number, number * BLOCK)
        # What reads of the ring see without a system call.
        system.wait_for(lambda: context.header.tail == 4)
        assert [event.res for event in context.io_getevents(4, 4)] == 4 * [BLOCK]
    assert finished() == before
    assert live.routes()["worker"] > worker


def waits(data, policy: str, way: str, *options: str) -> float:
    """Runs samples/deadlock, which hangs if the tasks wait for each other. Returns how many writes
    of a round a task has finished that slept in io_getevents()."""
    # To freeze and thaw takes much longer than a write.
    rounds = max(policies.ROUNDS // 10, 1) if way == "freeze" else policies.ROUNDS
    words = [f"--rounds={rounds}", "--aio", f"--depth={DEPTH}", *WAYS[way], *options]
    files.write(live.CONFIGFS / "live/completion", policy)
    before, begin = finished(), time.monotonic()
    system.run(system.SAMPLES / "deadlock", *words, data)
    done, seconds = (finished() - before) / rounds, time.monotonic() - begin
    print(f"{policy}: {rounds} rounds in {seconds:.0f} s, {done:.1f} writes of each left to a task")
    return done


@pytest.mark.parametrize("way", WAYS)
def test_another_task_waits_for_the_write(way, data):
    """The task that sleeps wants more results than there are, and the writes are left to it."""
    # Under "defer", all writes are, and under "auto", those whose page is cached in time. The task
    # may be on its way back to sleep when a write ends.
    assert waits(data, "defer", way, "--reap-beside") > 1
    assert waits(data, "auto", way, "--reap-beside", "--read-beside") > 0


@pytest.mark.parametrize("way", WAYS)
def test_the_same_task_waits_for_the_write(way, data):
    """The task that would reap does not sleep for results, so that nothing is left to it."""
    worker = live.routes()["worker"]
    assert waits(data, "defer", way) == 0
    assert waits(data, "auto", way, "--read-beside") == 0
    assert live.routes()["worker"] > worker


def test_the_task_that_sleeps_is_killed(data):
    """What is left to it is finished before it is gone."""
    for number in range(8):

        def child(self: Child, number: int = number) -> None:
            with files.opened(data) as fd, files.buffered(data) as cached:
                context = aio.Context(16)
                Reaper(context, 9)
                for index in range(8):
                    write_beside_read(context, fd, cached, number, index * BLOCK)
                    if index == number:
                        self.say(b"written")
                signal.pause()

        running = Child(child)
        assert running.wait_for_word() == b"written"
        running.kill()
        assert running.wait() == -signal.SIGKILL
        with files.opened(data) as fd:
            # It waits for writes that are counted.
            os.ftruncate(fd, COUNT * BLOCK)
