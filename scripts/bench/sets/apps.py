# SPDX-License-Identifier: GPL-2.0
"""Programs on XFS and ext4, on the same disk in one boot: by the kernel's own code, and by the
module, to which the file system is attached and whose AIO is used."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import report
from meter import Meter, Window, parse
from sampler import cost
from workloads import APPS, App

from guest import aio, devices, filesystems, live

SIDES = ("kernel", "module")
# Its volatile cache has programs flush it. Offsets of stress-ng are multiples of 512.
DISK = {
    "size": 1024,
    "blocksize": 512,
    "memory_backed": 1,
    "irqmode": 2,
    "completion_nsec": 10000,
    "cache_size": 16,
}
FIGURES = {
    "work": "work items",
    "switches": "context switches",
    "flushes": "flushes",
    "kernel": "instructions",
}


@dataclass
class Point:
    """A program, and where it runs on which side."""

    labels: dict[str, object]
    app: App
    where: Path


class Sampler:
    """Measures the work of a program once, from its beginning to its end."""

    METER = Meter

    def __init__(self, meter: Meter, point: Point) -> None:
        self.meter, self.point = meter, point

    def sample_all(self) -> None:
        with self.point.app(self.point.where) as work:
            self.meter.mark.execute()
            begin = time.monotonic_ns()
            self.transactions = work()
            self.meter.mark.execute()
            nanoseconds = time.monotonic_ns() - begin
        self.window = parse(self.meter.mark.read(), self.meter.current_symbols())
        self.window.nanoseconds = nanoseconds

    def result(self) -> dict:
        window: Window = self.window
        return {
            "labels": self.point.labels,
            "exact": False,
            "ios": [self.transactions],
            "values": cost(window, self.transactions),
            "spread": {},
            "functions": {
                name: count / self.transactions for name, count in window.kernel.most_common()
            },
        }

    def summary(self, figures: dict[str, float]) -> str:
        return ", ".join(f"{figures[name]:.2f} {what}" for name, what in FIGURES.items())


SAMPLER = Sampler


@contextlib.contextmanager
def side_of(name: str, mount: Path) -> Iterator[None]:
    """Has that side do direct I/O on MOUNT, and the AIO of new contexts."""
    if name == "kernel":
        yield
        return
    with live.attached(mount), aio.taken_over():
        yield
        assert sum(live.routes().values()) > 0


def points() -> Iterator[Point]:
    for program, app in APPS.items():
        for kind in ("xfs", "ext4"):
            for side in SIDES:
                with devices.null_disk(**DISK) as device:
                    with filesystems.mainline(kind, device) as mount, side_of(side, mount):
                        yield Point({"program": program, "on": kind, "side": side}, app, mount)
                    live.check(kind, device)


def row(labels: dict[str, object]) -> str:
    return f"{labels['program']} {labels['on']}"


def column(labels: dict[str, object]) -> str:
    return labels["side"]


def pairs(points: list[dict]) -> dict[str, dict[str, dict]]:
    """Returns the points of both sides of each row."""
    found: dict[str, dict[str, dict]] = {}
    for point in points:
        found.setdefault(row(point["labels"]), {})[column(point["labels"])] = point
    return found


def table(points: list[dict]) -> str:
    """For each transaction, each figure of the kernel's own code, and on the right of it ours."""
    lines = [
        [
            name,
            *(
                f"{sides[side]['values'][figure]:.{0 if figure == 'kernel' else 2}f}"
                for figure in FIGURES
                for side in SIDES
            ),
        ]
        for name, sides in pairs(points).items()
    ]
    header = [word for what in FIGURES.values() for word in (what, "ours")]
    return report.table(["program", *header], lines)


TABLES = {"": table}
