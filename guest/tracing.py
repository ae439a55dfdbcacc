# SPDX-License-Identifier: GPL-2.0
"""What the kernel reports while a test runs: tracepoints, and inotify events of a file."""

import contextlib
import ctypes
import dataclasses
import os
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from guest import files

TRACING = Path("/sys/kernel/tracing")
# Switches the module's tracepoints on and off in the main trace buffer
ALL_EVENTS = TRACING / "events" / "rnull_dio" / "enable"

# The functions that are probed, if the kernel can do that
PROBES = TRACING / "kprobe_events"

# struct inotify_event: wd, mask, cookie, len; events of a file have no name
INOTIFY_EVENT = struct.Struct("iIII")
INOTIFY_NAMES = {1: "access", 2: "modify"}


@dataclasses.dataclass
class Event:
    """A line of the trace: the event's name, and its values by their names."""

    name: str
    values: dict[str, str]

    def __getitem__(self, name: str) -> str | int:
        value = self.values[name]
        return int(value, 0) if re.fullmatch(r"-?(0x)?[0-9a-f]+", value) else value


@contextlib.contextmanager
def trace_lines(*switches: str) -> Iterator[list[str]]:
    """Collects the lines of a trace buffer of its own, with these events switched on.

    A switch is the path of a group of events, or of one, below events/.
    """
    lines: list[str] = []
    instance = TRACING / "instances" / "lab"
    instance.mkdir()
    try:
        # Times may be equal, or differ between CPUs. This only says what came first.
        files.write(instance / "trace_clock", "counter")
        for switch in switches:
            files.write(instance / "events" / switch / "enable", 1)
        yield lines
        files.write(instance / "events" / "enable", 0)
        trace = (instance / "trace").read_text().splitlines()
        lines += [line for line in trace if not line.startswith("#")]
    finally:
        instance.rmdir()


@contextlib.contextmanager
def probed(function: str, value: str, condition: str = "") -> Iterator[list[int]]:
    """Collects a value at each call of a function of the kernel for which a filter's condition
    holds: a register of x86-64, such as "%di", which has the first argument."""
    found: list[int] = []
    # Adds a line.
    files.write(PROBES, f"p:lab/probe {function} value={value}:x64")
    try:
        if condition:
            files.write(TRACING / "events/lab/probe/filter", condition)
        with trace_lines("lab/probe") as lines:
            yield found
        found += [int(re.search(r" value=(0x[0-9a-f]+)", line)[1], 16) for line in lines]
    finally:
        files.write(PROBES, "-:lab/probe")


@contextlib.contextmanager
def counted(event: str, condition: str, name: str = "count") -> Iterator[list[Path]]:
    """Counts an event, for which a filter's condition holds, in a trace buffer of that NAME which
    is not read: gives the files with the counts, see number_counted() and number_in()."""
    instance = TRACING / "instances" / name
    instance.mkdir()
    try:
        # Old events are overwritten, and counted as overrun.
        files.write(instance / "buffer_size_kb", 64)
        files.write(instance / "events" / event / "filter", condition)
        files.write(instance / "events" / event / "enable", 1)
        yield sorted(instance.glob("per_cpu/cpu*/stats"))
        files.write(instance / "events" / "enable", 0)
    finally:
        instance.rmdir()


def number_counted(counts: Mapping[str, int]) -> int:
    """Returns the number of events from the sums of the counters in counted()'s files."""
    return counts["entries"] + counts["overrun"]


def number_in(stats: list[Path]) -> int:
    """Returns the number of events from counted()'s files, before its with statement ends."""
    text = "\n".join(path.read_text() for path in stats)
    return sum(map(int, re.findall(r"^(?:entries|overrun): (\d+)", text, re.MULTILINE)))


@contextlib.contextmanager
def traced(*events: str) -> Iterator[list[Event]]:
    """Collects these events of the module, or all of them, in the order in which they happen."""
    collected: list[Event] = []
    with trace_lines(*(f"rnull_dio/{event}" for event in events or [""])) as lines:
        yield collected
    collected += map(parse_event, lines)


def parse_event(line: str) -> Event:
    name, text = re.search(r": (rnull_dio_\w+): (.*)", line).groups()
    words = text.split()
    return Event(name, dict(zip(words[::2], words[1::2], strict=True)))


@contextlib.contextmanager
def watched(path: Path) -> Iterator[list[str]]:
    """Collects the inotify events of a file, "access" and "modify"."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, os.fsencode(path), sum(INOTIFY_NAMES)) >= 0
    events: list[str] = []
    try:
        yield events
        with contextlib.suppress(BlockingIOError):
            while data := os.read(fd, 65536):
                events += [INOTIFY_NAMES[mask] for _, mask, _, _ in INOTIFY_EVENT.iter_unpack(data)]
    finally:
        os.close(fd)
