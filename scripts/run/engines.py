# SPDX-License-Identifier: GPL-2.0
"""The table of XFS and ext4: the same jobs with mainline's engine and with the module's, on one
mounted file system."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jobs
from jobs import COUNT, FILE_SIZE, Job

from guest import counters, devices, files, filesystems, live, tracing

PAGE = 4096
# One block of a file is read by a function that the module does not take over.
READ_SIZE = 8192

ENGINES = ("mainline", "module")
TITLES = {"xfs": "XFS on the NVMe drive", "ext4": "ext4 on the NVMe drive"}

# Work items that complete direct I/O are those of iomap's workqueue and of the module's.
QUEUED = "workqueue/workqueue_queue_work"
COMPLETIONS = 'workqueue ~ "dio/*" || workqueue ~ "*-dio"'

CACHED = "another page of the file is cached"
UNWRITTEN = "unwritten blocks"

CACHED_JOBS = (("libaio", 16), ("io_uring", 16), ("io_uring polled", 1))
UNWRITTEN_JOBS = (("io_uring", 16),)


@dataclass
class Mounted:
    """A file system, and its jobs by their engines."""

    jobs: dict[str, list[Job]] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)


Table = dict[str, Mounted]


# Files


def make_mapped(path: Path) -> None:
    with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
        os.ftruncate(fd, FILE_SIZE)


def make_cached(path: Path) -> None:
    """Makes a file of mapped blocks; only the page behind those that are overwritten is cached."""
    path.write_bytes(bytes(FILE_SIZE + PAGE))
    files.set_cache(path, None)
    files.read_into_cache(path, FILE_SIZE, PAGE)


def make_unwritten(path: Path) -> None:
    with files.opened(path, os.O_RDWR | os.O_CREAT) as fd:
        os.posix_fallocate(fd, 0, COUNT * PAGE)


# Jobs


def all_jobs(mount: Path, engine: str) -> list[Job]:
    """Returns the jobs of an engine; makes the files that need a certain state."""
    found = []
    for issuer, depth in jobs.KINDS:
        found += [Job(issuer, "randread", depth, READ_SIZE), Job(issuer, "randwrite", depth)]
    cached = mount / f"cached-{engine}"
    make_cached(cached)
    for issuer, depth in CACHED_JOBS:
        # fio drops cached pages before a job otherwise.
        options = {"filename": cached, "invalidate": 0}
        found.append(Job(issuer, "randwrite", depth, what=CACHED, options=options))
    for issuer, depth in UNWRITTEN_JOBS:
        job = Job(issuer, "randwrite", depth, what=UNWRITTEN)
        file = mount / f"{job.slug}-{engine}"
        make_unwritten(file)
        job.options = {"filename": file, "size": COUNT * PAGE}
        found.append(job)
    return found


@contextlib.contextmanager
def engine_of(name: str, mount: Path, passed: dict[str, int]) -> Iterator[list[Path]]:
    """Has an engine do the direct I/O; gives its counters, and fills in what it has passed on."""
    if name == "mainline":
        yield []
        return
    with live.attached(mount) as item:
        yield [counters.DEBUGFS / "live" / item / "routes"]
        passed |= live.passed(item)


def run_mounted(mount: Path) -> Mounted:
    result = Mounted()
    make_mapped(mount / "data")
    with tracing.counted(QUEUED, COMPLETIONS) as counts:
        for engine in ENGINES:
            todo = result.jobs[engine] = all_jobs(mount, engine)
            with engine_of(engine, mount, result.passed) as routes:
                jobs.run(todo, mount / "data", [*routes, *counts])
            for job in todo:
                job.verified &= engine == "mainline" or completions(job) >= job.measured
    return result


def work_items(job: Job) -> float:
    """Returns the number of work items per request. The reads that verify writes need none."""
    queued = tracing.number_counted(job.counters)
    return queued / job.measured if job.measured else 0.0


def completions(job: Job) -> int:
    """Returns how many requests the module has completed."""
    return sum(job.counters[route] for route in counters.ROUTES)


def run_all() -> Table:
    table = {}
    for kind, title in TITLES.items():
        with filesystems.mainline(kind, devices.drive("nvme")) as mount:
            table[title] = run_mounted(mount)
    return table


# The table

# Titles of figures that have a column for each engine, with how a figure is found and printed
FIGURES = (
    ("IOPS", "{:.0f}", lambda job: job.iops),
    ("ctx/IO", "{:.2f}", lambda job: job.switches),
    ("work items/IO", "{:.2f}", work_items),
)


def show(table: Table) -> None:
    print(" " * 32 + "".join(f" {title:>17}" for title, _, _ in FIGURES))
    titles = "".join(f" {engine:>8}" for engine in ENGINES)
    print(f"{'job':<32}{titles * len(FIGURES)} verify")
    for title, mounted in table.items():
        pairs = zip(*(mounted.jobs[engine] for engine in ENGINES), strict=True)
        for what, rows in itertools.groupby(pairs, key=lambda pair: pair[0].what):
            print(f"{title}, {what}:" if what else f"{title}:")
            for pair in rows:
                print(row(pair))
        for reason, count in mounted.passed.items():
            print(f"FAILED: {count} requests passed on to the kernel: {reason}")


def row(pair: tuple[Job, ...]) -> str:
    """Returns the row of a job that was run with each engine."""
    name, *figures, verdict = cells(pair)
    return f"  {name:<30}{''.join(f' {figure:>8}' for figure in figures)} {verdict}"


def cells(pair: tuple[Job, ...]) -> list[str]:
    name = f"{pair[0].issuer} {pair[0].rw} QD{pair[0].depth}"
    figures = [form.format(figure(job)) for _, form, figure in FIGURES for job in pair]
    return [name, *figures, "ok" if all(job.verified for job in pair) else "FAILED"]


def tables(table: Table) -> Iterator[dict]:
    """Gives a table for each file system, for the page."""
    columns = [f"{title} {engine}" for title, _, _ in FIGURES for engine in ENGINES]
    for title, mounted in table.items():
        pairs = zip(*(mounted.jobs[engine] for engine in ENGINES), strict=True)
        rows = []
        for pair in pairs:
            name, *others = cells(pair)
            rows.append([f"{name}, {pair[0].what}" if pair[0].what else name, *others])
        yield {"title": title, "header": ["job", *columns, "verify"], "rows": rows}


def is_good(table: Table) -> bool:
    verified = all(
        job.verified for mounted in table.values() for done in mounted.jobs.values() for job in done
    )
    return verified and not any(mounted.passed for mounted in table.values())
