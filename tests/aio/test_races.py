# SPDX-License-Identifier: GPL-2.0
"""Tasks that meet where only few instructions are between them: the module waits there."""

import os
import select
import threading

import pytest

from guest import aio, files, kernel, live, system
from guest.memory import aligned
from guest.tasks import Call, Child

pytestmark = pytest.mark.skipif(
    not kernel.IS_DEBUG, reason="only kernels that check locks have delays"
)

ROUNDS = 20

# How long a task waits in the module, and how long requests of the disk take, in ms
LONG = 40
SHORT = 10


@pytest.fixture(scope="module", autouse=True)
def side():
    """Only the module has delays."""
    with aio.taken_over():
        yield "module"


@pytest.fixture
def late(null_disk):
    """A disk whose requests end while a task waits in the module."""
    path = null_disk("late", size=16, irqmode=2, completion_nsec=SHORT * 1_000_000)
    with files.opened(path) as fd:
        yield fd


def read(fd: int, data: int = 0) -> aio.Iocb:
    return aio.request(aio.PREAD, fd, aligned(4096), data=data)


def poll(fd: int, data: int = 0) -> aio.Iocb:
    return aio.request(aio.POLL, fd, (select.POLLIN, 0), data=data)


@pytest.mark.long
def test_results_beside_a_search_for_slots(file, late):
    with aio.Context(1) as context:
        slots = context.header.nr - 1
    with aio.delayed("free_slots", LONG):
        # How many slots this CPU finds before it searches for those that were given back.
        for count in range(slots - 40, slots):
            with aio.Context(1) as context:
                for _ in range(count):
                    assert context.io_submit(read(file)) == 1
                    assert len(context.io_getevents(1, 1)) == 1
                assert context.io_submit(read(late), read(late)) == 2
                # It gives its slot back.
                assert context.io_submit(read(-1)) == "EBADF"
                assert len(context.io_getevents(2, 2, timeout=10)) == 2


def test_results_beside_one_another(late):
    def submit(context: aio.Context, cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})
        for turn in range(ROUNDS):
            assert context.io_submit(*(read(late, 4 * turn + n) for n in range(4))) == 4

    cpus = os.sched_getaffinity(0)
    assert len(cpus) > 1
    count = 4 * ROUNDS * len(cpus)
    with aio.Context(count) as context, aio.delayed("fill", 1):
        calls = [Call(submit, context, cpu) for cpu in cpus]
        for call in calls:
            call.result()
        events = context.io_getevents(count, count, timeout=60)
        assert sorted(aio.data_of(events)) == sorted([*range(4 * ROUNDS)] * len(cpus))


@pytest.mark.parametrize("point", ["reap", "sleep"])
def test_a_result_beside_a_task_that_goes_to_sleep(point, late):
    with aio.Context(4) as context, aio.delayed(point, LONG):
        for turn in range(ROUNDS):
            assert context.io_submit(read(late, turn)) == 1
            assert aio.data_of(context.io_getevents(1, 1, timeout=10)) == [turn]


def test_submission_beside_destruction(late):
    outcomes = set()
    with aio.delayed("submit", LONG) as wait_for_another:
        for turn in range(ROUNDS):
            context = aio.Context(4)
            call = Call(context.io_submit, read(late))
            wait_for_another()
            assert context.destroy() == 0
            outcomes.add(call.result())
            assert context.io_submit(read(late, turn)) == "EINVAL"
    assert outcomes <= {1, "EINVAL"}
    assert 1 in outcomes


def test_a_task_that_goes_to_sleep_beside_destruction():
    for point in ("reap", "sleep"):
        with aio.delayed(point, LONG) as wait_for_another:
            for _ in range(ROUNDS):
                context = aio.Context(4)
                call = Call(context.io_getevents, 1, 1)
                wait_for_another()
                assert context.destroy() == 0
                assert call.result() == "EINVAL"


def test_cancelling_beside_an_event(pipe):
    receive, send = pipe
    outcomes = []
    with aio.Context(4) as context, aio.delayed("cancel", LONG) as wait_for_another:
        for turn in range(ROUNDS):
            iocb = poll(receive, turn)
            assert context.io_submit(iocb) == 1
            call = Call(context.io_cancel, iocb)
            wait_for_another()
            os.write(send, b"x")
            outcomes.append(call.result())
            # There is one result, of the task that was first.
            (event,) = context.io_getevents(1, 2, timeout=10)
            assert (event.data, event.res != 0) == (turn, outcomes[-1] == "EINVAL")
            assert os.read(receive, 2) == b"x"
        assert context.io_getevents(0, 4) == []
    assert "EINVAL" in outcomes


def test_destruction_beside_events(pipe):
    receive, send = pipe
    with aio.delayed("kill", LONG) as wait_for_another:
        for _ in range(ROUNDS):
            context = aio.Context(16)
            assert context.io_submit(*(poll(receive) for _ in range(8))) == 8
            call = Call(context.destroy)
            wait_for_another()
            os.write(send, b"x")
            assert call.result() == 0
            assert os.read(receive, 2) == b"x"


def test_exit_in_the_middle(pipe, late):
    """A process exits, or is killed, with requests that are submitted, complete or waited for."""
    receive, send = pipe

    def child(task: Child) -> None:
        context = aio.Context(64)
        assert context.io_submit(*(poll(receive) for _ in range(4))) == 4
        for _ in range(2):
            threading.Thread(target=context.io_getevents, args=(60, 60), daemon=True).start()
        assert context.io_submit(*(read(late) for _ in range(16))) == 16
        task.say(b"submitted")
        context.io_submit(*(read(late) for _ in range(16)))

    for point in ("kill", "submit", "sleep", "fill"):
        with aio.delayed(point, LONG if point != "fill" else 1):
            for turn in range(ROUNDS // 4):
                task = Child(child)
                assert task.wait_for_word() == b"submitted"
                os.write(send, b"x")
                if turn % 2:
                    task.kill()
                task.wait()
                assert os.read(receive, 2) == b"x"


@pytest.mark.parametrize("point", ["leave", "sleep"])
def test_a_completion_that_is_left_beside_a_task_that_wakes_up(point, null_disk):
    """The task does not wait again. The result is there all the same."""
    disk = {"memory_backed": 1, "size": 512, "irqmode": 2, "completion_nsec": SHORT * 1_000_000}
    with live.on_device("xfs", null_disk(**disk)) as mount, aio.Context(16) as context:
        path = mount / "data"
        path.write_bytes(bytes(1 << 16))
        system.run("sync", path)
        with files.opened(path) as fd, files.buffered(path) as cached, aio.delayed(point, LONG):
            for turn in range(ROUNDS):
                memory = aligned(4096)
                memory[:] = bytes([turn + 1]) * 4096
                reaper = Call(context.io_getevents, 2, 2, (SHORT + LONG / 2) / 1000)
                assert context.io_submit(aio.request(aio.PWRITE, fd, memory, 0, data=turn)) == 1
                os.pread(cached, 4096, 0)
                if not (events := reaper.result()):
                    system.wait_for(lambda: context.header.tail != context.header.head)
                    events = context.io_getevents(1, 1)
                assert [(event.data, event.res) for event in events] == [(turn, 4096)]
                assert os.pread(cached, 4096, 0) == bytes(memory)
