# SPDX-License-Identifier: GPL-2.0
"""Signals during io_getevents(), and the masks of io_pgetevents()."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest import aio, system
from guest.memory import aligned
from guest.tasks import PATIENCE, Child

NO_SIGNALS: frozenset[int] = frozenset()


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """Collects the signals that handlers have got."""
    collected: list[int] = []
    numbers = (signal.SIGALRM, signal.SIGUSR1)
    before = [
        signal.signal(number, lambda number, _: collected.append(number)) for number in numbers
    ]
    yield collected
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@contextlib.contextmanager
def alarms() -> Iterator[None]:
    """Has SIGALRM arrive again and again, in case the first one comes before the system call."""
    signal.setitimer(signal.ITIMER_REAL, 0.3, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def blocked(number: int) -> Iterator[None]:
    """Blocks a signal; fails if it is not blocked any more at the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before | {number}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def sigset(numbers: frozenset[int], size: int = 8) -> aio.Sigset:
    """Returns struct __aio_sigset with these signals."""
    mask = ctypes.c_uint64(sum(1 << number - 1 for number in numbers))
    pointer = aio.Sigset(ctypes.addressof(mask), size)
    pointer.memory = mask
    return pointer


def pgetevents(
    context: aio.Context, min_nr: int, timeout: float | None, mask: object
) -> list[aio.Event] | str:
    events = (aio.Event * 8)()
    limit = None if timeout is None else aio.timespec(timeout)
    count = aio.result_of(aio.IO_PGETEVENTS, context.context, min_nr, 8, events, limit, mask)
    return count if isinstance(count, str) else events[:count]


def submit_read(context: aio.Context, file: int, data: int = 5) -> None:
    assert context.io_submit(aio.request(aio.PREAD, file, aligned(512), data=data)) == 1


@pytest.mark.parametrize("timeout", [None, 60])
def test_no_events(context, handled, timeout):
    with alarms():
        assert context.io_getevents(1, 1, timeout) == "EINTR"
    assert handled[0] == signal.SIGALRM


def test_some_events(context, file, handled):
    submit_read(context, file)
    with alarms():
        (event,) = context.io_getevents(2, 2)
    assert event.data == 5
    assert handled


def test_events_arrive_during_the_wait(context, slow_disk, handled):
    # One of two is there when the signal comes, or a later one if this task pauses.
    assert context.io_submit(aio.request(aio.PREAD, slow_disk, aligned(4096), data=5)) == 1
    signal.setitimer(signal.ITIMER_REAL, 1.5, 0.5)
    try:
        outcomes = (context.io_getevents(2, 2) for _ in range(20))
        (event,) = next((each for each in outcomes if each != "EINTR"), [])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert event.data == 5
    assert handled


def test_ignored_signals(context):
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    with alarms():
        assert context.io_getevents(1, 1, timeout=0.8) == []
    signal.signal(signal.SIGALRM, before)


def test_blocked_signals(context, handled):
    with blocked(signal.SIGALRM), alarms():
        assert context.io_getevents(1, 1, timeout=0.8) == []
        assert pgetevents(context, 1, 0.8, None) == []
        assert handled == []


def test_stop_and_continue(context, file):
    # The call returns at once if the process is stopped and continued, although no handler runs.
    def child(_) -> None:
        parent = os.getppid()
        call = Path(f"/proc/{parent}/syscall")
        system.wait_for(lambda: call.read_text().split()[0] == str(aio.IO_GETEVENTS))
        os.kill(parent, signal.SIGSTOP)
        time.sleep(0.5)
        os.kill(parent, signal.SIGCONT)

    running = Child(child)
    assert context.io_getevents(1, 1, timeout=PATIENCE) == "EINTR"
    assert running.wait() == 0
    submit_read(context, file)
    assert len(context.io_getevents(1, 1)) == 1


def test_pgetevents_without_a_mask(context, file, handled):
    submit_read(context, file)
    for mask in (None, aio.Sigset(None, 8), aio.Sigset(None, 99)):
        assert [event.data for event in pgetevents(context, 1, None, mask)] == [5]
        submit_read(context, file)
    assert len(pgetevents(context, 1, 0, None)) == 1
    with alarms():
        assert pgetevents(context, 1, None, None) == "EINTR"
    assert handled


def test_pgetevents_refuses(context, file, nowhere):
    submit_read(context, file)
    good = sigset(NO_SIGNALS)
    for size in (0, 4, 16, 128):
        assert pgetevents(context, 1, None, sigset(NO_SIGNALS, size)) == "EINVAL"
        # The address of the mask is looked at later.
        assert pgetevents(context, 1, None, aio.Sigset(nowhere, size)) == "EINVAL"
    assert pgetevents(context, 1, None, aio.Sigset(nowhere, 8)) == "EFAULT"
    assert pgetevents(context, 1, None, nowhere) == "EFAULT"
    assert pgetevents(context, 1, None, nowhere - 8) == "EFAULT"
    assert pgetevents(context, 9, None, good) == "EINVAL"
    arguments = (context.context, 1, 1, aio.Event())
    assert aio.result_of(aio.IO_PGETEVENTS, *arguments, nowhere, good) == "EFAULT"
    arguments = (context.context, 1, 1, nowhere)
    assert aio.result_of(aio.IO_PGETEVENTS, *arguments, None, good) == "EFAULT"
    assert aio.result_of(aio.IO_PGETEVENTS, 0, 1, 1, aio.Event(), None, good) == "EINVAL"
    assert len(pgetevents(context, 1, None, good)) == 1


def test_a_pending_signal_is_let_in(context, handled):
    with blocked(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert handled == []
        assert pgetevents(context, 1, None, sigset(NO_SIGNALS)) == "EINTR"
        assert handled == [signal.SIGUSR1]


def test_a_signal_is_let_in_during_the_wait(context, handled):
    with blocked(signal.SIGALRM), alarms():
        assert pgetevents(context, 1, None, sigset(NO_SIGNALS)) == "EINTR"
        assert handled == [signal.SIGALRM]


def test_a_pending_signal_and_events(context, file, handled):
    submit_read(context, file)
    with blocked(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        (event,) = pgetevents(context, 1, None, sigset(NO_SIGNALS))
        assert event.data == 5
        assert handled == [signal.SIGUSR1]


def test_a_pending_signal_and_no_time(context, handled):
    with blocked(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert pgetevents(context, 0, 0, sigset(NO_SIGNALS)) == "EINTR"
        assert handled == [signal.SIGUSR1]


def test_a_pending_signal_and_an_error(context, handled):
    with blocked(signal.SIGUSR1):
        os.kill(os.getpid(), signal.SIGUSR1)
        # The handler runs although the call has failed for another reason.
        assert pgetevents(context, 9, None, sigset(NO_SIGNALS)) == "EINVAL"
        assert handled == [signal.SIGUSR1]


def test_a_signal_is_kept_out(context, handled):
    with alarms():
        before = len(handled)
        assert pgetevents(context, 1, 1.0, sigset(frozenset([signal.SIGALRM]))) == []
        # It is handled as soon as the mask is what it was.
        assert len(handled) > before
    assert signal.SIGALRM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_no_signal_comes(context, file):
    with blocked(signal.SIGUSR1):
        assert pgetevents(context, 1, 0.2, sigset(NO_SIGNALS)) == []
        submit_read(context, file)
        assert len(pgetevents(context, 1, None, sigset(NO_SIGNALS))) == 1
