# SPDX-License-Identifier: GPL-2.0
"""Accesses to memory of the kernel that several CPUs share, in the guest; see sharing.c."""

import contextlib
import functools
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from meter import COUNTS, Command, Meter, times, transferred
from objects import Objects
from sampler import Sampler, median, spread

LINE = 64
# Functions that work at intervals of time, however much I/O is done: the tick, what it leaves to
# softirqs, and what is brought up to date once in each tick: the statistics of disks, and the time
WITHOUT = (
    "tick_nohz_handler",
    "rcu_core_si",
    "run_timer_softirq",
    "sched_balance_softirq",
    "update_io_ticks",
    "update_wall_time",
)
# Of how many lines of memory it is determined what they belong to, because that takes long
NAMED = 400
# How many pairs of a function and an object are reported
PLACES = 20

# How many bytes a program transfers at least while it is measured, and how long that may take
ENOUGH = 8 << 20
MAX_WINDOWS = 60

# Samples of a point that has the same figures in each run, and of others
SAMPLES_EXACT = 2
SAMPLES = 3
# The largest difference of figures that are called the same: relative, and in accesses per I/O
TOLERANCE = 0.02
TOLERANCE_ACCESSES = 0.1


def pin(task: int) -> None:
    """Pins a task that may run on several CPUs to the first one."""
    with contextlib.suppress(OSError):
        if len(os.sched_getaffinity(task)) > 1:
            os.sched_setaffinity(task, {0})


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """Pins all tasks, so that a stack is memory of one CPU; this one for the time of the with
    statement, because its children get its affinity."""
    for path in Path("/proc").glob("[0-9]*/task/[0-9]*"):
        pin(int(path.name))
    try:
        yield
    finally:
        # Also those that are offline now
        os.sched_setaffinity(0, range(os.sysconf("SC_NPROCESSORS_CONF")))


@dataclass
class Window:
    """Accesses to shared lines of memory between two markers."""

    # By function
    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    # By function and object, for the lines with the most accesses
    read_places: Counter[tuple[str, str]] = field(default_factory=Counter)
    written_places: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Bytes, and ns
    transferred: int = 0
    nanoseconds: int = 0
    # The program's own figures
    times: dict[str, float] = field(default_factory=dict)


class SharedMeter(Meter):
    """Runs jobs, and counts accesses to shared memory after a warm-up."""

    def __init__(self) -> None:
        super().__init__()
        symbols = self.current_symbols()
        addresses = dict(zip(symbols.names, symbols.addresses, strict=True))
        COUNTS.with_name(f"{COUNTS.name}.without").write_text(
            "".join(f"{addresses[name]:x}\n" for name in WITHOUT)
        )
        self.mark.execute()

    def read_symbols(self) -> None:
        super().read_symbols()
        self.objects = Objects()

    def watch(self, command: Command, window: float) -> Window:
        """Measures WINDOW seconds of a program's I/O, or several times that, until it has done
        enough. The guest's clock may be much too fast if the host was busy when it booted."""
        with self.running(command) as program, pinned():
            self.mark.execute()
            begin, before = time.monotonic_ns(), transferred(program.pid)
            for _ in range(MAX_WINDOWS):
                time.sleep(window)
                after, nanoseconds = transferred(program.pid), time.monotonic_ns() - begin
                if after - before >= ENOUGH:
                    break
            self.mark.execute()
            # The objects still exist while the program does.
            program.send_signal(signal.SIGSTOP)
            result = self.parse(self.mark.read())
            program.terminate()
            program.send_signal(signal.SIGCONT)
            output = program.communicate()[0].decode()
        result.transferred, result.nanoseconds = after - before, nanoseconds
        result.times = times(command, output)
        return result

    def parse(self, lines: list[str]) -> Window:
        accesses: list[tuple[int, str, int, int]] = []
        totals: Counter[int] = Counter()
        symbols, window = self.current_symbols(), Window()
        function = functools.cache(lambda text: symbols.find(int(text, 16))[0])
        for text in lines[1:-1]:
            address, instruction, reads, writes = text.split()
            access = int(address, 16), function(instruction), int(reads), int(writes)
            accesses.append(access)
            totals[access[0] // LINE] += access[2] + access[3]
            window.reads[access[1]] += access[2]
            window.writes[access[1]] += access[3]
        named = {line for line, _ in totals.most_common(NAMED)}
        find = functools.cache(self.objects.find)
        for address, name, reads, writes in accesses:
            if address // LINE in named:
                place = name, find(address)
                window.read_places[place] += reads
                window.written_places[place] += writes
        return window


class SharedSampler(Sampler):
    """Takes samples of a point; finds out whether its figures are the same in each run."""

    METER = SharedMeter

    def ios(self, window: Window) -> int:
        return window.transferred // self.point.block

    def cost(self, window: Window) -> dict[str, float]:
        ios = self.ios(window)
        reads, writes = window.reads.total() / ios, window.writes.total() / ios
        return {
            "reads": reads,
            "writes": writes,
            "accesses": reads + writes,
            "nanoseconds": window.nanoseconds / ios,
        }

    def is_same(self) -> bool:
        figures = [figures["accesses"] for figures in self.values()]
        return max(figures) - min(figures) <= max(TOLERANCE * max(figures), TOLERANCE_ACCESSES)

    def sample_all(self) -> None:
        for _ in range(SAMPLES_EXACT):
            self.sample()
        self.point.exact = self.is_same()
        while not self.point.exact and len(self.samples) < SAMPLES:
            self.sample()

    def middle(self) -> Window:
        """Returns the sample that is the median."""
        figures = [figures["accesses"] for figures in self.values()]
        return self.samples[figures.index(statistics.median_low(figures))]

    def result(self) -> dict:
        window = self.middle()
        ios = self.ios(window)
        places = window.read_places + window.written_places
        return {
            "labels": self.point.labels,
            "exact": self.point.exact,
            "ios": [self.ios(one) for one in self.samples],
            "values": median(self.values()),
            "told": median(self.times()),
            "spread": spread(self.values()) | spread(self.times()),
            "functions": {
                name: count / ios for name, count in (window.reads + window.writes).most_common()
            },
            "places": [
                [*place, window.read_places[place] / ios, window.written_places[place] / ios]
                for place, _ in places.most_common(PLACES)
            ],
        }

    def summary(self, figures: dict[str, float]) -> str:
        return f"{figures['reads']:.1f} reads and {figures['writes']:.1f} writes of shared memory"
