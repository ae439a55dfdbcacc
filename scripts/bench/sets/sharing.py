# SPDX-License-Identifier: GPL-2.0
"""Accesses to memory that several CPUs share, for each read of 8 KiB, on a disk that takes 10 µs:
with 1, 2 and 4 CPUs, each of which has a task that submits and a queue of the disk. The tasks use
io_uring, or Linux AIO, carried out by the kernel and by the module."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import report
from meter import Command
from points import FILESYSTEMS, Point, engine, timer_disk
from shared import SharedSampler

from guest import aio, files, filesystems, fio

SAMPLER = SharedSampler

CPUS = 4
# XFS and ext4 leave reads of one block to a function that is not redirected.
BLOCK = 8192
DEPTH = 16
SIZE = 1 << 20
# Long enough for some thousands of reads, in s
WINDOW = 1.0

ISSUERS = ("io_uring", "AIO kernel", "AIO module")
# What the tasks have: a ring or a context each, or one context of AIO
CONTEXTS = ("own contexts", "one context")
PATHS = ("raw", *FILESYSTEMS, "xfs attached")

# The paths of which the most frequent accesses are shown
SHOWN = ("raw", "xfs attached")


@contextlib.contextmanager
def online(count: int) -> Iterator[None]:
    """Has the first COUNT CPUs online, and all of them at the end."""
    cpus = [Path(f"/sys/devices/system/cpu/cpu{number}/online") for number in range(1, CPUS)]
    for number, cpu in enumerate(cpus, 1):
        files.write(cpu, int(number < count))
    try:
        yield
    finally:
        for cpu in cpus:
            files.write(cpu, 1)


@contextlib.contextmanager
def opened(path: str, device: Path) -> Iterator[tuple[Path, bool]]:
    """Gives a file and whether there are others of that name, with a number added."""
    kind, _, attached = path.partition(" ")
    if kind == "raw":
        fio.lay_out(device, SIZE)
        yield device, False
    elif kind == "diofs":
        with filesystems.diofs(device) as data:
            fio.lay_out(data, SIZE)
            yield data, False
    else:
        with filesystems.mainline(kind, device) as mount:
            for name in ("data", *(f"data{number}" for number in range(CPUS))):
                fio.lay_out(mount / name, SIZE)
            with engine("attached" if attached else "kernel", mount):
                yield mount / "data", True


def by_aio(contexts: str, data: Path, tasks: int, own_files: bool) -> Command:
    words = ["--pin", f"--submitters={tasks}", f"--depth={DEPTH}"]
    words += [f"--block={BLOCK}", f"--size={SIZE}"]
    words += ["--own"] * (contexts == "own contexts") + ["--files"] * own_files
    return Command("aio_shared", *words, str(data))


def by_uring(data: Path, tasks: int, own_files: bool) -> Command:
    names = {"directory": data.parent, "filename_format": f"{data.name}$jobnum"}
    options = {
        "numjobs": tasks,
        "group_reporting": 1,
        "cpus_allowed": f"0-{tasks - 1}",
        "cpus_allowed_policy": "split",
        "direct": 1,
        "thread": 1,
        "allow_file_create": 0,
        "rw": "randread",
        "bs": BLOCK,
        "size": SIZE,
        "ioengine": "io_uring",
        "iodepth": DEPTH,
        "norandommap": 1,
        "gtod_reduce": 1,
        "disk_util": 0,
        "time_based": 1,
        "runtime": "1h",
    }
    options |= names if own_files else {"filename": data}
    return Command("fio", "--name=job", "--output-format=json", *fio.words(options))


def by(issuer: str, path: str, data: Path, cpus: int, has_others: bool) -> Iterator[Point]:
    for contexts in CONTEXTS if issuer != "io_uring" else CONTEXTS[:1]:
        # Tasks that share a context share more than a file.
        own = has_others and cpus == CPUS and contexts == "own contexts"
        for own_files in (False, True) if own else (False,):
            labels = {"cpus": cpus, "path": path, "contexts": contexts, "own files": own_files}
            command = by_uring if issuer == "io_uring" else partial(by_aio, contexts)
            job = command(data, cpus, own_files)
            yield Point(labels | {"issuer": issuer}, job, window=WINDOW, block=BLOCK)


def on(path: str, device: Path, cpus: int) -> Iterator[Point]:
    with opened(path, device) as (data, has_others):
        for issuer in ISSUERS:
            is_module = issuer == "AIO module"
            with aio.taken_over() if is_module else contextlib.nullcontext():
                yield from by(issuer, path, data, cpus, has_others)


def points() -> Iterator[Point]:
    for cpus in (1, 2, CPUS):
        with online(cpus), timer_disk(submit_queues=cpus) as device:
            # With one CPU, nothing is shared on any path.
            for path in PATHS if cpus > 1 else PATHS[:1]:
                yield from on(path, device, cpus)


def row(labels: dict[str, object]) -> str:
    cpus = "1 CPU" if labels["cpus"] == 1 else f"{labels['cpus']} CPUs"
    words = [cpus, labels["path"], labels["contexts"]]
    return ", ".join(words + ["own files"] * labels["own files"])


def column(labels: dict[str, object]) -> str:
    return labels["issuer"]


def cell(point: dict) -> str:
    """Reads and writes"""
    figures = point["values"]
    text = f"{figures['reads']:.1f} + {figures['writes']:.1f}"
    if point["exact"]:
        return text
    return f"~{text} ±{point['spread'].get('accesses', 0) / 2:.0%}"


def table(points: list[dict]) -> str:
    return report.grid(points, row, column, cell)


def demangled(function: str) -> str:
    """Returns a function with its name as in the source, without the hashes of crates."""
    # c++filt replaces the names in a text, and so leaves the name of the module.
    command = ["c++filt", "--format=rust"]
    result = subprocess.run(command, check=True, input=function, capture_output=True, text=True)
    return re.sub(r"\[[0-9a-f]{16}\]", "", result.stdout.strip())


def places(points: list[dict]) -> str:
    """Returns a table of the memory that is accessed most, with all CPUs and one AIO context."""
    rows = []
    for point in points:
        labels = point["labels"]
        if labels["cpus"] == CPUS and labels["contexts"] == CONTEXTS[1] and labels["path"] in SHOWN:
            for function, what, reads, writes in point["places"][:10]:
                access = f"{demangled(function)}, {what}"
                place = f"{labels['path']}, {labels['issuer']}: {access}"
                rows.append([place, f"{reads:.1f}", f"{writes:.1f}"])
    return report.table(["place", "reads", "writes"], rows)


TABLES = {"": table, "-places": places}
