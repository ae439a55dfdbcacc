# SPDX-License-Identifier: GPL-2.0
"""The disturbances of the stress test: each is a function that a thread calls again and again."""

import mmap
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from guest import files, memory, system, tracing
from tests.stress.load import AREA, DIRECT, GRACE, Target

Say = Callable[[str], None]

# Populating memory is slow under emulation.
SQUEEZE_TIME = 5
SQUEEZE_PIECE = 4 << 20

DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class Disturbance:
    """Calls STEP every PAUSE seconds, until it fails."""

    def __init__(self, name: str, pause: float, step: Callable[[], None]):
        self.name, self.pause, self.step = name, pause, step
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
            yield f"{self.name}: does not end"
        if self.failure:
            yield f"{self.name}: {self.failure!r}"
        elif not self.count:
            yield f"{self.name}: did not happen"


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


def sync_data(target: Target) -> None:
    with files.opened(target.data) as fd:
        os.fsync(fd)


def fill_cache(target: Target) -> None:
    """Reads the area of a direct job into the cache. The data is not checked, as it changes."""
    name = random.choice([name for name in target.jobs if name in DIRECT])
    with files.opened(target.data, os.O_RDONLY) as fd:
        os.pread(fd, AREA, target.offset(name))


def change_policy(target: Target) -> None:
    policy = random.choice(("auto", "workqueue", "defer", "inline"))
    system.run("mount", "-o", f"remount,completion={policy}", target.data.parent)


def takes_policies(target: Target) -> bool:
    options = "remount,completion=auto"
    return not system.run("mount", "-o", options, target.data.parent, check=False).returncode


def all_disturbances(targets: list[Target], say: Say) -> Iterator[Disturbance]:
    yield Disturbance("CPUs", 0.5, switch_a_cpu)
    yield Disturbance("memory", 1, squeeze_memory)
    yield Disturbance("caches", 5, drop_caches)
    yield Disturbance("tracing", 2, switch_tracing)
    for target in targets:
        yield from of_target(target, say)


def of_target(target: Target, say: Say) -> Iterator[Disturbance]:
    name = target.device.name
    yield Disturbance(f"fsync {name}", 0.5, partial(sync_data, target))
    if target.buffered:
        yield Disturbance(f"cache {name}", 0.1, partial(fill_cache, target))
    if takes_policies(target):
        yield Disturbance(f"policy {name}", 0.5, partial(change_policy, target))
    else:
        say(f"{name}: no policies to change: the mount option completion= is refused")
