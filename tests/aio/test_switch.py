# SPDX-License-Identifier: GPL-2.0
"""Which contexts belong to the module: "aio on", "aio on --comm" and "aio off"."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest import aio, files, system
from guest.memory import aligned, pattern
from guest.tasks import Call, Child, run_in_child

# The kernel counts here what its own contexts were made for, and nothing of the module's.
AIO_NR = Path("/proc/sys/fs/aio-nr")

# prctl(2), which gives the thread another name
PRCTL, PR_SET_NAME = 157, 15


pytestmark = pytest.mark.parametrize("side", ["module"], indirect=True)


@pytest.fixture(autouse=True, scope="module")
def switched_off(side: str) -> Iterator[None]:  # noqa: ARG001
    """Undoes what the fixture has done, because the tests switch by themselves."""
    aio.switch_off()
    yield
    aio.switch_on()


def is_of_module(make: Callable[[], object]) -> bool:
    """Returns whether the context that MAKE makes belongs to the module."""
    before = int(files.read(AIO_NR))
    make()
    grown = int(files.read(AIO_NR)) - before
    assert grown in (0, 16)
    return not grown


def check(context: aio.Context, file: int) -> None:
    for data in range(3):
        iocb = aio.request(aio.PREAD, file, aligned(512), 512 * data, data=data)
        assert context.io_submit(iocb) == 1
        (event,) = context.io_getevents(1, 1)
        assert (event.data, event.res) == (data, 512)
        assert iocb.memory[:] == pattern(1 << 16)[512 * data : 512 * data + 512]


def test_contexts_stay_what_they_are(file):
    contexts: list[aio.Context] = []

    def make() -> None:
        contexts.append(aio.Context(16))

    def check_all() -> None:
        for context in contexts:
            check(context, file)

    assert not is_of_module(make)
    with aio.taken_over():
        check_all()
        assert is_of_module(make)
        check_all()
    check_all()
    assert not is_of_module(make)
    with aio.taken_over():
        check_all()
        assert is_of_module(make)
    check_all()
    for context in contexts:
        assert context.destroy() == 0
        assert context.io_getevents(0, 1) == "EINVAL"


def test_names_of_programs():
    def child(_) -> None:
        with aio.taken_over("--comm", "chosen"):
            assert not is_of_module(lambda: aio.Context(16))
            aio.call(PRCTL, PR_SET_NAME, ctypes.create_string_buffer(b"chosen"))
            assert is_of_module(lambda: aio.Context(16))
            aio.call(PRCTL, PR_SET_NAME, ctypes.create_string_buffer(b"another"))
            assert not is_of_module(lambda: aio.Context(16))

    run_in_child(child)


def test_switching_during_io(file):
    # The thread uses the last context, and this thread the first one. Neither may take the other's
    # events, so these are never the same.
    contexts = [aio.Context(16), aio.Context(16)]

    def keep_reading() -> int:
        done = 0
        while len(contexts) < 13:
            check(contexts[-1], file)
            done += 1
        return done

    call = Call(keep_reading)
    for _ in range(5):
        with aio.taken_over():
            contexts.append(aio.Context(16))
            check(contexts[0], file)
        contexts.append(aio.Context(16))
    contexts.append(aio.Context(16))
    assert call.result() > 0
    for context in contexts:
        check(context, file)
        assert context.destroy() == 0


def test_the_module_stays_as_long_as_its_contexts():
    with aio.taken_over(), aio.Context(16) as context:
        assert system.run("rmmod", "rnull_dio", check=False).returncode
        assert context.io_getevents(0, 1) == []
    with aio.taken_over():

        def child(self: Child) -> None:
            aio.Context(16)
            self.say(b"made")
            signal.pause()

        running = Child(child)
        assert running.wait_for_word() == b"made"
    # Switched off, with a context left
    assert system.run("rmmod", "rnull_dio", check=False).returncode
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
