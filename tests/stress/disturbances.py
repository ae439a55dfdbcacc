# SPDX-License-Identifier: GPL-2.0
"""The disturbances of the stress test: each is a function that a thread calls again and again.

Those here concern the whole machine; load.py and the modules of the file systems have those of a
file system.
"""

import mmap
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from guest import files, memory, tracing

# How long fio and the disturbances may take to end after the time is over, in seconds
GRACE = 240

# Populating memory is slow under emulation.
SQUEEZE_TIME = 5
SQUEEZE_PIECE = 4 << 20

MACHINE = "machine"

DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class Disturbance:
    """Calls STEP every PAUSE seconds, until it fails. WHERE is what it concerns."""

    def __init__(self, where: str, name: str, pause: float, step: Callable[[], None]):
        self.where, self.name, self.pause, self.step = where, name, pause, step
        self.count = 0
        self.failure: Exception | None = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    def run(self) -> None:
        try:
            while not self.stopped.wait(self.pause):
                self.step()
                self.count += 1
        except Exception as failure:  # finish() reports it
            self.failure = failure

    def finish(self) -> Iterator[str]:
        self.stopped.set()
        if self.thread.ident:
            self.thread.join(GRACE)
        if self.thread.is_alive():
            yield f"{self.where}: {self.name}: does not end"
        if self.failure:
            yield f"{self.where}: {self.name}: {self.failure!r}"
        elif not self.count:
            yield f"{self.where}: {self.name}: did not happen"


def cpu_switches() -> list[Path]:
    """Returns the files that put CPUs online; the first CPU has none that may be used."""
    return sorted(Path("/sys/devices/system/cpu").glob("cpu[1-9]*/online"))


def switch_a_cpu() -> None:
    switch = random.choice(cpu_switches())
    files.write(switch, 1 - int(files.read(switch)))


def all_cpus_online() -> None:
    for switch in cpu_switches():
        files.write(switch, 1)


def squeeze_memory() -> None:
    """Allocates up to half of the available memory, for SQUEEZE_TIME at most."""
    wanted = memory.available() * random.uniform(0.2, 0.5)
    deadline = time.monotonic() + SQUEEZE_TIME
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    pieces = []
    while len(pieces) * SQUEEZE_PIECE < wanted and time.monotonic() < deadline:
        pieces.append(mmap.mmap(-1, SQUEEZE_PIECE, flags=flags))


def drop_caches() -> None:
    """Drops pages, other objects, or both."""
    files.write(DROP_CACHES, random.choice((1, 2, 3)))


def switch_tracing() -> None:
    files.write(tracing.ALL_EVENTS, int(files.read(tracing.ALL_EVENTS) == "0"))


def no_tracing() -> None:
    files.write(tracing.ALL_EVENTS, 0)


def of_machine() -> Iterator[Disturbance]:
    for name, pause, step in (
        ("CPUs", 0.5, switch_a_cpu),
        ("memory", 1, squeeze_memory),
        ("caches", 5, drop_caches),
        ("sync", 5, os.sync),
        ("tracing", 2, switch_tracing),
    ):
        yield Disturbance(MACHINE, name, pause, step)
