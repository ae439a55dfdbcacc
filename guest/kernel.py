# SPDX-License-Identifier: GPL-2.0
"""The running kernel: its variant, its log, the module under test, leaks."""

import contextlib
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path

from guest import files, system

MODULE = Path(os.environ.get("MODULE", "/build/rnull_dio.ko"))

# Debugging aids make such a kernel many times slower.
IS_DEBUG = "-rnull-dio-test" in platform.release()

# What is done often, or with much data, is done so much less on such a kernel.
DEBUG_DIVISOR = 4

# Whether the kernel was built with patches/, and so has kiocb->dio_complete
HAS_DIO_COMPLETE = Path("/usr/src/linux/Documentation/filesystems/dio-completion.rst").exists()

KMEMLEAK = Path("/sys/kernel/debug/kmemleak")

# kmemleak reports an object only after this many seconds.
LEAK_AGE = 6


def fewer(number: int, least: int = 1) -> int:
    """Returns NUMBER, or on a debugging kernel a part of it, but no less than LEAST."""
    return max(number // DEBUG_DIVISOR, least) if IS_DEBUG else number


def load_module() -> None:
    system.run("insmod", MODULE)


def unload_module() -> None:
    # The kernel may put what uses the module later than a program ends.
    system.run_until_it_succeeds("rmmod", "rnull_dio")


@contextlib.contextmanager
def unloaded() -> Iterator[None]:
    """Unloads the module, for the time of the with statement."""
    unload_module()
    try:
        yield
    finally:
        load_module()


def log() -> str:
    return system.run("dmesg").stdout


@contextlib.contextmanager
def new_log_lines() -> Iterator[list[str]]:
    """Collects the lines that the kernel logs inside the with statement."""
    lines: list[str] = []
    before = len(log().splitlines())
    yield lines
    lines += log().splitlines()[before:]


def about_disks(lines: list[str], *names: str) -> list[str]:
    """Returns the lines of the log that may be about the disks with these names."""
    words = "|".join([*map(re.escape, names), "rnull_dio", "FAULT_INJECTION"])
    return [line for line in lines if re.search(words, line)]


def forget_leaks() -> None:
    """Has kmemleak report only objects that are allocated from now on."""
    files.write(KMEMLEAK, "clear")


def leaks() -> str:
    """Returns kmemleak's report. It lists an object after two scans have found no pointer to it."""
    time.sleep(LEAK_AGE)
    files.write(KMEMLEAK, "scan")
    files.write(KMEMLEAK, "scan")
    return KMEMLEAK.read_text()
