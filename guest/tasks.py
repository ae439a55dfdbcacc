# SPDX-License-Identifier: GPL-2.0
"""Tasks beside the test: threads that are in a system call, and child processes."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from guest import system

# How long a task may take, under emulation
PATIENCE = 60


class Call(threading.Thread):
    """A function in a thread of its own."""

    def __init__(self, function: Callable, *arguments: object):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.outcome = self.error = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.function(*self.arguments)
        except BaseException as error:
            self.error = error

    def wait_until_in(self, number: int) -> None:
        """Waits until the thread sleeps in the system call NUMBER."""
        path = Path(f"/proc/self/task/{self.native_id}/syscall")
        system.wait_for(lambda: path.read_text().split()[0] == str(number), PATIENCE)

    def result(self) -> object:
        """Returns what the function returns, or raises what it raises."""
        self.join(PATIENCE)
        assert not self.is_alive(), f"{self.function} has not returned"
        if self.error:
            raise self.error
        return self.outcome


# Children that have not been waited for
children: set["Child"] = set()


class Child:
    """A copy of this process that runs FUNCTION. It may say() something, for which wait_for_word()
    waits."""

    def __init__(self, function: Callable[["Child"], None]):
        self.receive, self.send = os.pipe()
        self.pid = os.fork()
        if self.pid:
            children.add(self)
            os.close(self.send)
            return
        status = 1
        try:
            function(self)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def say(self, word: bytes) -> None:
        os.write(self.send, word)

    def wait_for_word(self) -> bytes:
        """Returns what the child says next, or nothing if it exits before."""
        return os.read(self.receive, 64)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Waits for the end. Returns the exit status, or the negative number of the signal."""
        ended: list[int] = []

        def has_ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                ended.append(os.waitstatus_to_exitcode(status))
            return bool(ended)

        system.wait_for(has_ended, PATIENCE)
        children.discard(self)
        os.close(self.receive)
        return ended[0]


def run_in_child(function: Callable[[Child], None]) -> None:
    """Runs FUNCTION in a copy of this process; fails if it does."""
    assert Child(function).wait() == 0, "see the output of the child"
