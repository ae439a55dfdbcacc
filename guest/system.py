# SPDX-License-Identifier: GPL-2.0
"""Running programs, and waiting for conditions."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Where the guest sees the checkout, and the programs of its folder samples/
SOURCE = Path("/src")
SAMPLES = Path("/build/samples")


def run(*command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end and returns its output; raises AssertionError if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(words, check=False, capture_output=True, text=True)
    if check and result.returncode:
        raise AssertionError(f"{' '.join(words)}: {result.returncode}\n{result.stderr}")
    return result


def run_until_it_succeeds(*command: object, timeout: float = 60) -> None:
    """Runs a program again and again until it succeeds; raises AssertionError with its last errors
    after TIMEOUT seconds."""
    deadline = time.monotonic() + timeout
    while run(*command, check=time.monotonic() > deadline).returncode:
        time.sleep(0.1)


@contextlib.contextmanager
def running(command: Sequence[object], **options: object) -> Iterator[subprocess.Popen]:
    """Runs a program; kills it at the end of the with statement, unless it has ended. OPTIONS are
    those of subprocess.Popen()."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.kill()
        # A task that waits for I/O in the kernel may never end.
        process.wait(60)
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


def wait_for(condition: Callable[[], bool], timeout: float = 60) -> None:
    """Polls CONDITION until it is true; raises AssertionError after TIMEOUT seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"still false after {timeout} s"
        time.sleep(0.1)
