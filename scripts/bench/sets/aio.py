# SPDX-License-Identifier: GPL-2.0
"""Cost of Linux AIO, carried out by the kernel and by the module, beside that of io_uring: on a
null disk that takes 10 µs, and on attached file systems beside the page cache. Also of a context
that several tasks submit to."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import report
from meter import Command
from points import AREA, SIZE, Point, engine, job, set_cache, timer_disk

from guest import aio, filesystems
from guest.fio import lay_out
from sets.path import raw

DEPTHS: dict[str, dict[str, object]] = {
    "QD1": {"iodepth": 1},
    "QD32": {"iodepth": 32},
    # The task waits for 16 results, and submits as many requests.
    "QD32, 16 at a time": {
        "iodepth": 32,
        "iodepth_batch_submit": 16,
        "iodepth_batch_complete_min": 16,
        "iodepth_batch_complete_max": 16,
    },
}

# Several tasks submit to a context, from which another one reaps.
SUBMITTERS = 4

WAYS = ("io_uring", "kernel", "module")


@contextlib.contextmanager
def way(name: str) -> Iterator[dict[str, object]]:
    """Gives the options of fio for io_uring, or for the AIO of the kernel or of the module."""
    if name == "io_uring":
        yield {"ioengine": "io_uring"}
    else:
        with aio.taken_over() if name == "module" else contextlib.nullcontext():
            yield {"ioengine": "libaio"}


def on_device(device: Path) -> Iterator[Point]:
    with raw(device) as path:
        for name in WAYS:
            with way(name) as options:
                for rw in ("randread", "randwrite"):
                    for title, depth in DEPTHS.items():
                        labels = {"job": f"{rw} {title}", "aio": name}
                        # Several requests end in another order in each run.
                        exact = title == "QD1"
                        yield Point(labels, job(path, rw, **options, **depth), exact=exact)
                if name != "io_uring":
                    yield by_submitters(path, name)


def by_submitters(path: Path, name: str) -> Point:
    words = [f"--submitters={SUBMITTERS}", "--depth=32", "--block=4096", f"--size={AREA}"]
    labels = {"job": f"randread QD32, {SUBMITTERS} submitters", "aio": name}
    return Point(labels, Command("aio_shared", *words, str(path)), exact=False)


def beside_cache(device: Path) -> Iterator[Point]:
    for kind in ("xfs", "ext4"):
        with filesystems.mainline(kind, device) as mount, engine("attached", mount):
            data = mount / "data"
            lay_out(data, SIZE)
            for cached in (False, True):
                set_cache(data, cached)
                for name in WAYS:
                    with way(name) as options:
                        title = f"{kind} {'cached' if cached else 'uncached'} QD16"
                        labels = {"job": title, "aio": name}
                        command = job(data, "randwrite", iodepth=16, **options)
                        yield Point(labels, command, exact=False)


def points() -> Iterator[Point]:
    with timer_disk() as device:
        yield from on_device(device)
        yield from beside_cache(device)


def row(labels: dict[str, object]) -> str:
    return labels["job"]


def column(labels: dict[str, object]) -> str:
    return labels["aio"]


def cost(point: dict) -> str:
    figures = (f"{point['values'][name]:.2f}" for name in ("switches", "work"))
    return f"{report.cost(point)} ({', '.join(figures)})"


def table(points: list[dict]) -> str:
    """Instructions an I/O, and in parentheses context switches and work items."""
    return report.grid(points, row, column, cost)


def part(points: list[dict]) -> str:
    """Instructions an I/O of fs/aio.c, or of the module's AIO, and their share of all: of a raw
    device, the engine has no part."""
    chosen = [
        point
        for point in points
        if column(point["labels"]) != "io_uring" and point["labels"]["job"].startswith("rand")
    ]
    return report.grid(chosen, row, column, instructions)


def instructions(point: dict) -> str:
    ours = sum(point["layers"].get(layer, 0) for layer in ("aio", "engine"))
    return f"{ours:.0f} ({ours / report.instructions(point):.1%})"


TABLES = {"": table, "-part": part}
