# SPDX-License-Identifier: GPL-2.0
"""The end of contexts: io_destroy(), exit, exec; and what fork does not copy."""

import contextlib
import mmap
import os
import select
import signal
import time
from pathlib import Path

import pytest

from guest import aio, devices, files, system
from guest.memory import aligned, pattern
from guest.tasks import Call, Child, run_in_child

# See conftest.py
DELAY = 0.4


def slow_reads(fd: int, count: int = 4) -> list[aio.Iocb]:
    return [aio.request(aio.PREAD, fd, aligned(4096), 4096 * n, data=n) for n in range(count)]


def poll(fd: int) -> aio.Iocb:
    return aio.request(aio.POLL, fd, (select.EPOLLIN, 0))


def destroy(context: int) -> int | str:
    return aio.result_of(aio.IO_DESTROY, context)


def test_bad_contexts(context, nowhere):
    with aio.Context(1) as other:
        gone = other.id
    for wrong in (0, 1, nowhere, gone, context.id + 32, context.id + mmap.PAGESIZE, 1 << 63):
        assert destroy(wrong) == "EINVAL"
    where = context.id
    assert context.destroy() == 0
    assert destroy(where) == "EINVAL"


def test_events_that_were_not_taken(file):
    for _ in range(3):
        with aio.Context(16) as context:
            assert context.io_submit(*slow_reads(file, 16)) == 16


def test_destroy_waits_for_reads_in_flight(slow_disk):
    context = aio.Context(8)
    begin = time.monotonic()
    assert context.io_submit(*slow_reads(slow_disk)) == 4
    assert context.io_getevents(0, 4) == [] or time.monotonic() - begin >= DELAY
    assert context.destroy() == 0
    assert time.monotonic() - begin >= DELAY


def test_destroy_cancels_polls(pipe):
    context = aio.Context(8)
    assert context.io_submit(*(poll(pipe[0]) for _ in range(8))) == 8
    assert context.destroy() == 0
    os.write(pipe[1], b"x")


def test_destroy_wakes_a_thread_that_waits_for_events():
    context = aio.Context(8)
    calls = [Call(context.io_getevents, 1, 8, timeout) for timeout in (None, 1000)]
    for call in calls:
        call.wait_until_in(aio.IO_GETEVENTS)
    assert context.destroy() == 0
    assert [call.result() for call in calls] == ["EINVAL", "EINVAL"]


def test_destroy_wakes_a_thread_that_has_some_events(file):
    context = aio.Context(8)
    assert context.io_submit(aio.request(aio.PREAD, file, aligned(512), data=5)) == 1
    call = Call(context.io_getevents, 2, 8)
    call.wait_until_in(aio.IO_GETEVENTS)
    assert context.destroy() == 0
    assert [event.data for event in call.result()] == [5]


def test_destroy_waits_for_a_thread_that_submits():
    receive, send = os.pipe()
    try:
        context = aio.Context(8)
        back = aligned(512)
        submission = Call(context.io_submit, aio.request(aio.PREAD, receive, back))
        submission.wait_until_in(aio.IO_SUBMIT)
        destruction = Call(context.destroy)
        destruction.wait_until_in(aio.IO_DESTROY)
        destruction.join(0.3)
        assert destruction.is_alive()
        os.write(send, b"later")
        assert submission.result() == 1
        assert destruction.result() == 0
        assert back[:6] == b"later\0"
    finally:
        # The context could not be destroyed while the read blocks.
        os.close(send)
        os.close(receive)


def test_several_threads_destroy(slow_disk):
    context = aio.Context(8)
    assert context.io_submit(*slow_reads(slow_disk)) == 4
    calls = [Call(destroy, context.id) for _ in range(4)]
    assert sorted(str(call.result()) for call in calls) == ["0", "EINVAL", "EINVAL", "EINVAL"]


def test_destroy_beside_submissions(disk):
    def submit(context: aio.Context) -> int | str:
        done = 0
        while True:
            outcome = context.io_submit(*slow_reads(disk, 2))
            if outcome == "EINVAL":
                return done
            assert outcome in (1, 2, "EAGAIN")
            done += 1

    for _ in range(2):
        context = aio.Context(512)
        where = context.id
        calls = [Call(submit, context) for _ in range(2)]
        system.wait_for(lambda context=context: context.header.tail > 0)
        assert destroy(where) == 0
        assert sum(call.result() for call in calls) > 0


def test_the_thread_that_submitted_is_gone(context, slow_disk):
    assert Call(context.io_submit, *slow_reads(slow_disk)).result() == 4
    events = context.io_getevents(4, 4)
    assert sorted((event.data, event.res) for event in events) == [(n, 4096) for n in range(4)]


@pytest.mark.parametrize("way", ["kill", "exit", "destroy-and-exit"])
def test_exit_with_requests_in_flight(way, null_disk, pipe):
    path = null_disk("slowdisk", size=16, irqmode=2, completion_nsec=10**9)

    def child(self: Child) -> None:
        with files.opened(path) as fd:
            contexts = [aio.Context(8) for _ in range(3)]
            for context in contexts:
                assert context.io_submit(*slow_reads(fd), poll(pipe[0])) == 5
            self.say(b"in flight")
            if way == "kill":
                signal.pause()
            if way == "destroy-and-exit":
                # The thread may be gone already if this one has paused.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    Call(contexts[-1].destroy).wait_until_in(aio.IO_DESTROY)

    begin = time.monotonic()
    running = Child(child)
    assert running.wait_for_word() == b"in flight"
    if way == "kill":
        running.kill()
    assert running.wait() == (-signal.SIGKILL if way == "kill" else 0)
    # The exit has waited for the disk, which nothing uses any more.
    assert time.monotonic() - begin >= 1
    files.write(devices.CONFIGFS / path.name / "power", 0)
    assert not path.exists()


def test_kill_while_waiting_for_events(pipe):
    def child(self: Child) -> None:
        context = aio.Context(8)
        assert context.io_submit(poll(pipe[0])) == 1
        self.say(b"now")
        context.io_getevents(1, 1)

    running = Child(child)
    assert running.wait_for_word() == b"now"
    time.sleep(0.3)
    running.kill()
    assert running.wait() == -signal.SIGKILL


def test_exec_with_requests_in_flight(slow_disk, pipe):
    def child(_) -> None:
        context = aio.Context(8)
        assert context.io_submit(*slow_reads(slow_disk), poll(pipe[0])) == 5
        os.execv("/usr/bin/true", ["true"])

    begin = time.monotonic()
    run_in_child(child)
    assert time.monotonic() - begin >= DELAY


def test_a_forked_child_has_no_context(context, slow_disk, file):
    assert context.io_submit(*slow_reads(slow_disk, 2)) == 2

    def child(_) -> None:
        (iocb,) = slow_reads(file, 1)
        assert "[aio]" not in Path("/proc/self/maps").read_text()
        assert context.io_submit(iocb) == "EINVAL"
        assert context.io_getevents(0, 1) == "EINVAL"
        assert context.io_cancel(iocb) == "EINVAL"
        assert destroy(context.id) == "EINVAL"
        # It may have one of its own, at the same address as well.
        with aio.Context(16) as own:
            assert own.io_submit(iocb) == 1
            assert own.io_getevents(1, 1)[0].res == 4096

    run_in_child(child)
    events = context.io_getevents(2, 4)
    assert sorted((event.data, event.res) for event in events) == [(0, 4096), (1, 4096)]
    assert context.io_submit(*slow_reads(file)) == 4
    assert len(context.io_getevents(4, 4)) == 4


def test_fork_during_direct_reads(context, null_disk):
    # The data goes to the memory of the parent, although the child has a copy of it.
    path = null_disk("slowdisk", memory_backed=1, size=16, irqmode=2, completion_nsec=4 * 10**8)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with files.opened(path) as fd:
        assert os.pwrite(fd, pattern(16384), 0) == 16384
        memories = [mmap.mmap(-1, 4096, private) for _ in range(4)]
        iocbs = [aio.request(aio.PREAD, fd, each, 4096 * n) for n, each in enumerate(memories)]
        assert context.io_submit(*iocbs) == 4

        def child(_) -> None:
            for iocb in iocbs:
                iocb.memory[:] = b"c" * 4096

        run_in_child(child)
        assert len(context.io_getevents(4, 4)) == 4
    assert b"".join(iocb.memory[:] for iocb in iocbs) == pattern(16384)[:]
